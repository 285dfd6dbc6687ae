/* HOST PORT WAY: the device is freed inside its own connect callback; no callback starts after that. */
#include "check.h"

static struct latch freed = LATCH_INIT;

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    (void)user_data;
    CHECK_OK(losant_device_free(device));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_free(device));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_send_state(device, "{}", 0));
    /* The event lives until the callback returns all the same. */
    CHECK(strcmp(event->device_id, DEVICE_ID) == 0);
    say("freed");
    latch_add(&freed, 0);
}

static void never(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)user_data;
    say("called after free: event %d", (int)event->type);
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    losant_device *device = make_device(argv);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, NULL, NULL));
    for (int type = LOSANT_EVENT_CONNECT; type <= LOSANT_EVENT_ERROR; type++) {
        CHECK_OK(losant_device_add_event_observer(device, type, never, NULL, NULL));
    }
    if (strcmp(argv[3], "start") == 0) {
        CHECK_OK(losant_device_start(device));
        latch_wait(&freed, 1);
    } else {
        CHECK_OK(run(device, argv[3]));
    }
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_free(device));
    /* The background thread, if there was one, ends by itself. */
    wait_for_threads(1);
    /* What it leaves until someone outside of callbacks can wait for it. */
    CHECK_OK(losant_device_free(make_device(argv)));
    return 0;
}
