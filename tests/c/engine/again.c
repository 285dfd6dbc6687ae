/* HOST PORT WAY: connects again inside its own close callback, twice; a new connection each time, with its own events. */
#include "check.h"

static struct latch closed = LATCH_INIT;

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    CHECK_OK(losant_device_close(device));
}

static void on_close(losant_device *device, const losant_event *event, void *user_data)
{
    CHECK_STATUS(LOSANT_OK, event->status);
    CHECK(!losant_device_is_connected(device));
    if (closed.count < 2) {
        CHECK_STATUS(LOSANT_ERR_IN_CALLBACK, losant_device_connect(device, true));
        CHECK_OK(strcmp(user_data, "start") == 0 ? losant_device_start(device) : losant_device_connect(device, false));
        CHECK_STATUS(LOSANT_ERR_ALREADY_RUNNING, losant_device_start(device));
    }
    latch_add(&closed, 0);
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    losant_device *device = make_device(argv);
    tell_everything(device);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, NULL, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CLOSE, on_close, argv[3], NULL));
    if (strcmp(argv[3], "start") == 0) {
        CHECK_OK(losant_device_start(device));
        latch_wait(&closed, 3);
    } else {
        CHECK_OK(run(device, argv[3]));
        /* A blocking connect returns with its own connection; the next one was begun for the loop. */
        CHECK_OK(loop_until_ended(device));
    }
    CHECK(closed.count == 3);
    CHECK_OK(losant_device_free(device));
    wait_for_threads(1);
    return 0;
}
