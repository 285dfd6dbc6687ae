/*
 * HOST PORT WAY QOS KEEP_ALIVE_S: keeps a device connected whatever becomes of the connection, and tells what happens.
 * "send N" reports the next N states {"n":1}, {"n":2}, … ; at the end of the input it waits until the outbox is empty and
 * closes the device.
 */
#include "check.h"

static losant_device *device;

static void *obey(void *unused)
{
    (void)unused;
    char line[64], state[64];
    int sent = 0, count;
    while (hear(line, sizeof line)) {
        CHECK(sscanf(line, "send %d", &count) == 1);
        for (int until = sent + count; sent < until;) {
            snprintf(state, sizeof state, "{\"n\":%d}", ++sent);
            CHECK_OK(losant_device_send_state(device, state, 0));
        }
        say("accepted\t%d", sent);
    }
    while (stats_of(device).queued > 0) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    CHECK_OK(losant_device_close(device));
    return NULL;
}

int main(int argc, char **argv)
{
    CHECK(argc == 6);
    pthread_t thread;
    device = make_device(argv);
    CHECK_OK(losant_device_set_qos(device, atoi(argv[4])));
    CHECK_OK(losant_device_set_keep_alive_seconds(device, (uint32_t)atoi(argv[5])));
    CHECK_OK(losant_device_set_connect_timeout(device, 2000));
    tell_everything(device);
    CHECK(pthread_create(&thread, NULL, obey, NULL) == 0);
    CHECK_OK(run(device, argv[3]));
    CHECK(pthread_join(thread, NULL) == 0);

    say("accepted %" PRIu64 ", delivered %" PRIu64 ", dropped %" PRIu64 ", queued %" PRIu64 ", resent %" PRIu64,
        stats_of(device).accepted, stats_of(device).delivered, stats_of(device).dropped_outbox_full,
        stats_of(device).queued, stats_of(device).resent);
    CHECK_OK(losant_device_free(device));
    return 0;
}
