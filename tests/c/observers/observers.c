/* HOST PORT WAY: several observers of commands, added and removed as the commands say; each tells what it hears. */
#include "check.h"

struct observer {
    const char *name;
};

static struct observer first = {"first"}, second = {"second"}, third = {"third"}, late = {"late"};

static void on_command(losant_device *device, const losant_event *event, void *user_data)
{
    struct observer *self = user_data;
    say("%s hears %s", self->name, event->name);
    if (self == &first && strcmp(event->name, "remove second") == 0) {
        CHECK_OK(losant_device_remove_event_observer(device, LOSANT_EVENT_COMMAND, on_command, &second));
        CHECK_STATUS(LOSANT_ERR_NO_SUCH_OBSERVER,
                     losant_device_remove_event_observer(device, LOSANT_EVENT_COMMAND, on_command, &second));
    }
    if (self == &first && strcmp(event->name, "remove first") == 0) {
        CHECK_OK(losant_device_remove_event_observer(device, LOSANT_EVENT_COMMAND, on_command, &first));
    }
    if (self == &third && strcmp(event->name, "add late") == 0) {
        CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, on_command, &late, NULL));
    }
    if (self == &third && strcmp(event->name, "stop") == 0) {
        CHECK_STATUS(LOSANT_ERR_IN_CALLBACK, losant_device_connect(device, true));
        CHECK_OK(losant_device_close(device));
    }
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    losant_device *device = make_device(argv);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, tell, NULL, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, on_command, &first, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, on_command, &second, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, on_command, &third, NULL));
    /* The same one twice is called twice; removed once, it is called once. */
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, on_command, &second, NULL));
    CHECK_OK(losant_device_remove_event_observer(device, LOSANT_EVENT_COMMAND, on_command, &second));
    CHECK_OK(losant_device_remove_event_observer(device, LOSANT_EVENT_COMMAND, on_command, &second));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, on_command, &second, NULL));
    CHECK_OK(run(device, argv[3]));
    CHECK_OK(losant_device_free(device));
    return 0;
}
