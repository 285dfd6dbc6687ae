/*
 * HOST PORT WAY: a state with everything that it can have: text of a given length, peripheral, flow version, meta; and what
 * the stats say of it before, while and after the device is connected.
 */
#include "check.h"

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    losant_stats stats = stats_of(device);
    CHECK(stats.connection_state == LOSANT_CONNECTION_CONNECTED);
    CHECK(stats.attempts == 1 && stats.connects == 1 && stats.errors == 0 && stats.last_error == LOSANT_OK);
    CHECK(stats.bytes_sent > 0 && stats.bytes_received > 0);
}

static int delivered;

static void on_delivered(losant_device *device, const losant_event *event, void *user_data)
{
    (void)user_data;
    CHECK(event->size == sizeof *event && event->state_id > 0);
    if (++delivered == 3) {
        CHECK_OK(losant_device_close(device));
    }
}

int main(int argc, char **argv)
{
    CHECK(argc == 5);
    losant_device *device = make_device(argv);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, NULL, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_DELIVERED, on_delivered, NULL, NULL));

    losant_state state = LOSANT_STATE_INIT;
    uint64_t id = 0;
    state.json = "{\"n\":1}, and what is behind it";
    state.json_len = 7;
    state.time_ms = atoll(argv[4]);
    state.flow_version = "a \"version\"";
    state.meta = " {\"any\": [1, null]} ";
    CHECK_OK(losant_device_send(device, &state, &id));
    CHECK(id == 1);
    state.json = "{\"n\":2}";
    state.json_len = 0;
    state.peripheral_id = "peripheral";
    CHECK_OK(losant_device_send(device, &state, &id));
    state.flow_version = state.meta = NULL;
    CHECK_OK(losant_device_send(device, &state, NULL));
    CHECK(id == 2);

    losant_stats stats = stats_of(device);
    CHECK(stats.connection_state == LOSANT_CONNECTION_CLOSED && stats.attempts == 0);
    CHECK(stats.accepted == 3 && stats.queued == 3 && stats.sent == 0 && stats.queued_bytes > 3 * 7 + 60);

    CHECK_OK(run(device, argv[3]));
    stats = stats_of(device);
    CHECK(stats.connection_state == LOSANT_CONNECTION_CLOSED);
    CHECK(stats.accepted == 3 && stats.delivered == 3 && stats.sent == 3 && stats.queued == 0 && stats.queued_bytes == 0);
    CHECK(stats.messages_sent == 3 && stats.resent == 0 && stats.oldest_age_ms == 0 && stats.reserved == 0);
    CHECK(stats.dropped_outbox_full == 0 && stats.refused_invalid == 0 && stats.commands == 0);
    CHECK_OK(losant_device_free(device));
    return 0;
}
