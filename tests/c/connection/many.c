/*
 * HOST PORT DEVICES LIMIT WINDOW_MS: many started devices of one process, device-0, device-1, …, begin no more than LIMIT
 * connections in any window.
 */
#include "check.h"

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    CHECK_OK(losant_device_send_state(device, "{\"here\":true}", 0));
    latch_add(user_data, 0);
}

int main(int argc, char **argv)
{
    CHECK(argc == 6);
    int count = atoi(argv[3]);
    struct latch connected = LATCH_INIT;
    losant_device **devices = calloc((size_t)count, sizeof *devices);
    CHECK(devices);
    CHECK_OK(losant_set_connect_limit((uint32_t)atoi(argv[4]), (uint32_t)atoi(argv[5])));
    for (int number = 0; number < count; number++) {
        char id[32];
        snprintf(id, sizeof id, "device-%d", number);
        CHECK_OK(losant_device_new(id, KEY, SECRET, &devices[number]));
        CHECK_OK(losant_device_set_host(devices[number], argv[1]));
        CHECK_OK(losant_device_set_port(devices[number], atoi(argv[2])));
        use_transport(devices[number]);
        CHECK_OK(losant_device_set_reconnect_delay(devices[number], 1, 1));
        CHECK_OK(losant_device_add_event_observer(devices[number], LOSANT_EVENT_CONNECT, on_connect, &connected, NULL));
        CHECK_OK(losant_device_add_event_observer(devices[number], LOSANT_EVENT_RECONNECT, on_connect, &connected, NULL));
        CHECK_OK(losant_device_start(devices[number]));
    }
    latch_wait(&connected, count);
    say("connected");
    latch_wait(&connected, 2 * count);
    for (int number = 0; number < count; number++) {
        CHECK_OK(losant_device_drain(devices[number], -1));
        CHECK_OK(losant_device_free(devices[number]));
    }
    free(devices);
    return 0;
}
