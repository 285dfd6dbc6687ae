/* HOST PORT ROUNDS: a device is run now in this way, now in that, without a pause in between. */
#include "check.h"

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    ++*(int *)user_data;
    CHECK_OK(losant_device_close(device));
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    static const char *const ways[] = {"start", "loop", "start", "epoll", "start", "blocking"};
    int connects = 0, expected = 0;
    losant_device *device = make_device(argv);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, &connects, NULL));
    for (int round = 0; round < atoi(argv[3]); round++) {
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            CHECK_OK(run(device, ways[i]));
            CHECK(connects == ++expected);
        }
    }
    CHECK_OK(losant_device_free(device));
    return 0;
}
