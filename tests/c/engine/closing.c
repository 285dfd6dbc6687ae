/*
 * HOST PORT WAY HOW: the device is closed inside the connect callback, or by another thread once it is connected; then
 * connected again, with the same end; then freed.
 */
#include "check.h"

static const char *how;
static struct latch connected = LATCH_INIT;
static losant_device *device;

static void on_connect(losant_device *which, const losant_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    CHECK(which == device);
    if (strcmp(how, "callback") == 0) {
        CHECK_OK(losant_device_close(device));
        /* The connection lives until the callback has returned; closing again does nothing. */
        CHECK_OK(losant_device_close(device));
        CHECK_STATUS(LOSANT_ERR_ALREADY_RUNNING, losant_device_connect(device, false));
    }
    latch_add(&connected, 0);
}

static void *close_once_connected(void *times)
{
    latch_wait(&connected, *(int *)times);
    CHECK_OK(losant_device_close(device));
    return NULL;
}

int main(int argc, char **argv)
{
    CHECK(argc == 5);
    how = argv[4];
    device = make_device(argv);
    tell_everything(device);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, NULL, NULL));
    for (int times = 1; times <= 2; times++) {
        pthread_t thread;
        bool from_thread = strcmp(how, "thread") == 0;
        CHECK(!from_thread || pthread_create(&thread, NULL, close_once_connected, &times) == 0);
        int status = run(device, argv[3]);
        /* Where nobody was in the loop, the close event was raised on the thread that closed. */
        CHECK(!from_thread || pthread_join(thread, NULL) == 0);
        say("returned\t%d", status);
        CHECK(!losant_device_is_connected(device));
        CHECK_STATUS(LOSANT_ERR_NOT_RUNNING, losant_device_loop(device, 0));
    }
    CHECK_OK(losant_device_free(device));
    return 0;
}
