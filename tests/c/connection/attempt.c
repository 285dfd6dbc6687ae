/*
 * HOST PORT WAY SECRET CONNECT_TIMEOUT_MS ERRORS: tries to connect, tells what happens, and closes at the error with this
 * number or at the command "stop", whatever comes first.
 */
#include "check.h"

static int errors_left;

static void on_error(losant_device *device, const losant_event *event, void *user_data)
{
    (void)user_data;
    CHECK(event->status < 0);
    if (--errors_left == 0) {
        CHECK_OK(losant_device_close(device));
    }
}

static void on_log(int level, const char *message, size_t length, void *user_data)
{
    (void)level;
    (void)length;
    CHECK(!strstr(message, user_data));
}

int main(int argc, char **argv)
{
    CHECK(argc == 7);
    losant_device *device = NULL;
    CHECK_OK(losant_set_log_callback(on_log, LOSANT_LOG_DEBUG, argv[4]));
    CHECK_OK(losant_device_new(DEVICE_ID, KEY, argv[4], &device));
    CHECK_OK(losant_device_set_host(device, argv[1]));
    CHECK_OK(losant_device_set_port(device, atoi(argv[2])));
    use_transport(device);
    CHECK_OK(losant_device_set_reconnect_delay(device, 1, 5));
    CHECK_OK(losant_device_set_connect_timeout(device, (uint32_t)atoi(argv[5])));
    errors_left = atoi(argv[6]);
    tell_everything(device);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_ERROR, on_error, NULL, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, close_on_stop, NULL, NULL));
    CHECK_OK(losant_device_send_state(device, "{\"attempt\":1}", 0));
    say("returned\t%d", run(device, argv[3]));
    CHECK_STATUS(LOSANT_ERR_NOT_RUNNING, losant_device_loop(device, 0));
    CHECK_OK(losant_device_free(device));
    return 0;
}
