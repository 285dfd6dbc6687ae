/*
 * HOST PORT WAY QOS WHEN TIME FILE...: reports the content of each file as a state, before connecting or once connected,
 * measured a millisecond after the one before, and tells what happens until the command "stop" comes.
 */
#include "check.h"

struct states {
    char **files;
    int count;
    int64_t time_ms;
};

static char *read_all(const char *path)
{
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
    long size = ftell(file);
    CHECK(size >= 0 && fseek(file, 0, SEEK_SET) == 0);
    char *text = malloc((size_t)size + 1);
    CHECK(text != NULL && fread(text, 1, (size_t)size, file) == (size_t)size);
    text[size] = '\0';
    fclose(file);
    return text;
}

static void send_all(losant_device *device, const struct states *states)
{
    for (int i = 0; i < states->count; i++) {
        char *json = read_all(states->files[i]);
        CHECK_OK(losant_device_send_state(device, json, states->time_ms + i));
        free(json);
    }
}

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    CHECK(losant_device_is_connected(device));
    send_all(device, user_data);
}

int main(int argc, char **argv)
{
    CHECK(argc >= 7);
    struct states states = {argv + 7, argc - 7, atoll(argv[6])};
    losant_device *device = make_device(argv);
    CHECK_OK(losant_device_set_qos(device, atoi(argv[4])));
    tell_everything(device);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, close_on_stop, NULL, NULL));
    if (strcmp(argv[5], "before") == 0) {
        send_all(device, &states);
        say("accepted");
    } else {
        CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, &states, NULL));
    }
    CHECK(!losant_device_is_connected(device));
    CHECK_OK(run(device, argv[3]));
    CHECK(!losant_device_is_connected(device));

    uint64_t accepted, delivered, queued, dropped;
    accepted = stats_of(device).accepted;
    delivered = stats_of(device).delivered;
    queued = stats_of(device).queued;
    dropped = stats_of(device).dropped_outbox_full;
    CHECK(accepted == (uint64_t)states.count);
    CHECK(delivered == accepted && queued == 0 && dropped == 0);
    CHECK_OK(losant_device_free(device));
    return 0;
}
