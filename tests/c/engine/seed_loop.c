/*
 * HOST PORT: the example of the Losant Python client, translated word for word: connect without blocking, then for ever
 * loop with its timeout of a second, report, sleep a second. It is connected after its first call of the loop.
 */
#include "check.h"

static void on_command(losant_device *device, const losant_event *command, void *user_data)
{
    (void)user_data;
    say("%s", command->name);
    CHECK_OK(losant_device_close(device));
}

static double call_out_to_your_sensor_here(void)
{
    return 21.5;
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    losant_device *device = make_device(argv);

    /* Listen for commands. */
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, on_command, NULL, NULL));

    /* Connect to Losant. */
    CHECK_OK(losant_device_connect(device, false));

    /* Send temperature once every second. */
    for (int calls = 1; losant_device_loop(device, 1000) == LOSANT_OK; calls++) {
        if (losant_device_is_connected(device)) {
            if (calls == 1) {
                say("connected by the first call");
            }
            char state[64];
            snprintf(state, sizeof state, "{\"temperature\":%.1f}", call_out_to_your_sensor_here());
            CHECK_OK(losant_device_send_state(device, state, 0));
        }
        sleep(1);
    }
    CHECK_OK(losant_device_free(device));
    return 0;
}
