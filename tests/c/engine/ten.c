/*
 * HOST PORT: ten devices on the one background thread. Each reports its number once connected, and the name of every
 * command. "close N" and "free N" end device N, "start" starts all that are closed.
 */
#include "check.h"

#define DEVICES 10

static losant_device *devices[DEVICES];
static int numbers[DEVICES];

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    char state[32];
    snprintf(state, sizeof state, "{\"number\":%d}", *(int *)user_data);
    CHECK_OK(losant_device_send_state(device, state, 0));
    say("connect %s", event->device_id);
}

static void on_command(losant_device *device, const losant_event *event, void *user_data)
{
    char state[128];
    (void)user_data;
    snprintf(state, sizeof state, "{\"heard\":\"%s\"}", event->name);
    CHECK_OK(losant_device_send_state(device, state, 0));
}

static void on_close(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)user_data;
    say("close %s", event->device_id);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    for (int i = 0; i < DEVICES; i++) {
        char id[32];
        snprintf(id, sizeof id, "device-%d", i);
        numbers[i] = i;
        CHECK_OK(losant_device_new(id, KEY, SECRET, &devices[i]));
        CHECK_OK(losant_device_set_host(devices[i], argv[1]));
        CHECK_OK(losant_device_set_port(devices[i], atoi(argv[2])));
        use_transport(devices[i]);
        CHECK_OK(losant_device_add_event_observer(devices[i], LOSANT_EVENT_CONNECT, on_connect, &numbers[i], NULL));
        CHECK_OK(losant_device_add_event_observer(devices[i], LOSANT_EVENT_COMMAND, on_command, NULL, NULL));
        CHECK_OK(losant_device_add_event_observer(devices[i], LOSANT_EVENT_CLOSE, on_close, NULL, NULL));
    }
    say("made");
    char line[64];
    while (hear(line, sizeof line)) {
        int number;
        if (sscanf(line, "close %d", &number) == 1) {
            CHECK_OK(losant_device_close(devices[number]));
        } else if (sscanf(line, "free %d", &number) == 1) {
            CHECK_OK(losant_device_free(devices[number]));
        } else {
            CHECK(strcmp(line, "start") == 0);
            for (int i = 0; i < DEVICES; i++) {
                CHECK_OK(losant_device_start(devices[i]));
            }
        }
        say("did %s", line);
    }
    return 0;
}
