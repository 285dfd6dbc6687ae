/*
 * HOST PORT COUNT: connects and closes that often, each time with a new device, and tells the peak of its memory in KB
 * before every tenth and at the end.
 */
#include "check.h"

#include <sys/resource.h>

static void close_it(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    CHECK_OK(losant_device_close(device));
}

static long peak_kb(void)
{
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return usage.ru_maxrss;
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    int count = atoi(argv[3]);
    for (int i = 0; i < count; i++) {
        if (i % 10 == 0) {
            say("peak\t%ld", peak_kb());
        }
        /* Devices of one id would put each other off the broker. */
        char id[32];
        losant_device *device;
        snprintf(id, sizeof id, "device-%d", (int)getpid());
        CHECK_OK(losant_device_new(id, KEY, SECRET, &device));
        CHECK_OK(losant_device_set_host(device, argv[1]));
        CHECK_OK(losant_device_set_port(device, atoi(argv[2])));
        use_transport(device);
        CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, close_it, NULL, NULL));
        CHECK_OK(losant_device_connect(device, true));
        CHECK_OK(losant_device_free(device));
    }
    say("peak\t%ld", peak_kb());
    return 0;
}
