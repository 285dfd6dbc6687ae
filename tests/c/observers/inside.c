/*
 * HOST PORT WAY: what is refused inside a callback: what waits, whatever device it is asked of; and the loop of the same
 * device, but not that of another.
 */
#include "check.h"

static losant_device *other;

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    losant_device *devices[] = {device, other};
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(LOSANT_ERR_IN_CALLBACK, losant_device_flush(devices[i], 0));
        CHECK_STATUS(LOSANT_ERR_IN_CALLBACK, losant_device_flush(devices[i], -1));
        CHECK_STATUS(LOSANT_ERR_IN_CALLBACK, losant_device_drain(devices[i], 0));
        CHECK_STATUS(LOSANT_ERR_IN_CALLBACK, losant_device_connect(devices[i], true));
    }
    /* Nothing was done. */
    CHECK_OK(losant_device_send_state(device, "{}", 0));
    CHECK_OK(losant_device_connect(other, false));
    CHECK_OK(losant_device_loop(other, 0));
    if (strcmp(user_data, "start") != 0) {
        CHECK_STATUS(LOSANT_ERR_IN_CALLBACK, losant_device_loop(device, 0));
    }
    CHECK_OK(losant_device_close(other));
    CHECK_OK(losant_device_close(device));
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    losant_device *device = make_device(argv);
    other = make_device(argv);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, argv[3], NULL));
    CHECK_OK(run(device, argv[3]));
    CHECK_OK(losant_device_free(device));
    CHECK_OK(losant_device_free(other));
    return 0;
}
