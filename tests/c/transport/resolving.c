/*
 * HOST PORT: a name server that does not answer holds up nothing: neither the loop, nor close, nor free. The program
 * brings its own getaddrinfo, which waits until it is told to fail.
 */
#include "nameless.h"

static struct latch failed = LATCH_INIT;

static void on_error(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)user_data;
    latch_add(&failed, event->status);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    int timeout;
    losant_device *device = make_device(argv), *other = make_device(argv), *third = make_device(argv);
    tell_everything(device);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_ERROR, on_error, NULL, NULL));
    CHECK_OK(losant_device_connect(device, false));
    CHECK_OK(losant_device_loop(device, 0));
    latch_wait(&asked, 1);
    for (int i = 0; i < 100; i++) {
        CHECK_OK(losant_device_loop(device, 0));
    }
    CHECK_OK(losant_device_next_timeout(device, &timeout));
    CHECK(timeout != 0);

    CHECK_OK(losant_device_connect(other, false));
    CHECK_OK(losant_device_loop(other, 0));
    CHECK_OK(losant_device_close(other));
    CHECK_OK(losant_device_free(other));
    CHECK_OK(losant_device_start(third));
    CHECK_OK(losant_device_free(third));
    /* They have waited for the look-up that was under way. */
    CHECK(asked.count == 1);
    say("waits");

    latch_add(&answer, 0);
    while (failed.count == 0) {
        CHECK_OK(losant_device_loop(device, -1));
    }
    CHECK_STATUS(LOSANT_ERR_RESOLVE, failed.value);
    CHECK_OK(losant_device_close(device));
    CHECK_STATUS(LOSANT_ERR_RESOLVE, losant_device_connect(device, true));
    CHECK_OK(losant_device_free(device));
    wait_for_threads(1);
    return 0;
}
