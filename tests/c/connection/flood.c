/* HOST PORT COUNT: tells the most commands that one call of the loop has handed over, once so many have come. */
#include "check.h"

static int total, now;

static void on_command(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)user_data;
    CHECK(strcmp(event->name, "n") == 0);
    total++;
    now++;
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    int most = 0;
    losant_device *device = make_device(argv);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, on_command, NULL, NULL));
    CHECK_OK(losant_device_connect(device, false));
    while (total < atoi(argv[3])) {
        now = 0;
        CHECK_OK(losant_device_loop(device, -1));
        most = now > most ? now : most;
    }
    say("most\t%d", most);
    CHECK_OK(losant_device_free(device));
    return 0;
}
