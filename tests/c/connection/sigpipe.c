/*
 * HOST PORT WAY LOSSES: floods a broker that hangs up in the middle, again and again, in a program that SIGPIPE would
 * kill; done after so many lost connections.
 */
#include "check.h"

#include <signal.h>

static int losses_left;

static void flood(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    static char state[4000];
    memset(state, 'x', sizeof state - 1);
    memcpy(state, "{\"x\":\"", 6);
    memcpy(state + sizeof state - 3, "\"}", 3);
    for (int i = 0; i < 200; i++) {
        CHECK_OK(losant_device_send_state(device, state, 0));
    }
}

static void on_error(losant_device *device, const losant_event *event, void *user_data)
{
    (void)user_data;
    if (event->stage == LOSANT_STAGE_ONLINE && --losses_left == 0) {
        CHECK_OK(losant_device_close(device));
    }
}

int main(int argc, char **argv)
{
    CHECK(argc == 5);
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    losses_left = atoi(argv[4]);
    losant_device *device = make_device(argv);
    CHECK_OK(losant_device_set_qos(device, 0));
    CHECK_OK(losant_device_set_reconnect_delay(device, 1, 1));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, flood, NULL, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_RECONNECT, flood, NULL, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_ERROR, on_error, NULL, NULL));
    CHECK_OK(run(device, argv[3]));
    CHECK_OK(losant_device_free(device));
    return 0;
}
