/*
 * HOST PORT WAY: the log callback frees the device as soon as the log says that it is connected. It may call any
 * function, on whatever thread it runs.
 */
#include "check.h"

static losant_device *device;
static struct latch freed = LATCH_INIT;

static void on_log(int level, const char *message, size_t length, void *user_data)
{
    (void)user_data;
    CHECK(level >= LOSANT_LOG_ERROR && level <= LOSANT_LOG_INFO && length == strlen(message));
    CHECK(!strstr(message, SECRET));
    if (strstr(message, "connected to")) {
        CHECK_OK(losant_device_send_state(device, "{}", 0));
        CHECK(losant_device_connect(device, true) != LOSANT_OK);
        CHECK(losant_device_loop(device, -1) != LOSANT_OK);
        CHECK_OK(losant_set_log_callback(NULL, LOSANT_LOG_INFO, NULL));
        CHECK_OK(losant_device_close(device));
        CHECK_OK(losant_device_free(device));
        latch_add(&freed, 0);
    }
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    device = make_device(argv);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, tell, NULL, NULL));
    CHECK_OK(losant_set_log_callback(on_log, LOSANT_LOG_INFO, NULL));
    if (strcmp(argv[3], "start") == 0) {
        CHECK_OK(losant_device_start(device));
        latch_wait(&freed, 1);
    } else {
        CHECK_OK(run(device, argv[3]));
    }
    wait_for_threads(1);
    CHECK_OK(losant_device_free(make_device(argv)));
    return 0;
}
