/* HOST PORT WAY: tells every command that arrives, and every warning in the log, until the command "stop". */
#include "check.h"

static void on_log(int level, const char *message, size_t length, void *user_data)
{
    (void)length;
    (void)user_data;
    if (level == LOSANT_LOG_WARN) {
        say("warning\t%s", message);
    }
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    CHECK_OK(losant_set_log_callback(on_log, LOSANT_LOG_WARN, NULL));
    losant_device *device = make_device(argv);
    tell_everything(device);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, close_on_stop, NULL, NULL));
    CHECK_OK(run(device, argv[3]));
    CHECK_OK(losant_device_free(device));
    return 0;
}
