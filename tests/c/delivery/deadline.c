/*
 * HOST PORT WAY: a broker that never acknowledges. Flush and close end with their time, tell what is left, and nothing is
 * lost by it.
 */
#include "check.h"

#define STATES 10

static struct latch connected = LATCH_INIT;
static losant_device *device;

static void on_connect(losant_device *unused, const losant_event *event, void *user_data)
{
    (void)unused;
    (void)event;
    (void)user_data;
    CHECK_STATUS(LOSANT_ERR_IN_CALLBACK, losant_device_flush(device, -1));
    CHECK_STATUS(LOSANT_ERR_IN_CALLBACK, losant_device_drain(device, -1));
    latch_add(&connected, 0);
}

static double seconds(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *close_in_time(void *unused)
{
    (void)unused;
    latch_wait(&connected, 1);
    double begin = seconds();
    CHECK_STATUS(LOSANT_ERR_NOT_DELIVERED, losant_device_flush(device, 200));
    CHECK(seconds() - begin >= 0.2);
    CHECK_OK(losant_device_send_state(device, "{}", 0));
    begin = seconds();
    CHECK_STATUS(LOSANT_ERR_NOT_DELIVERED, losant_device_drain(device, 300));
    CHECK(seconds() - begin >= 0.3);
    say("left %" PRIu64, stats_of(device).queued);
    CHECK_STATUS(LOSANT_ERR_CLOSING, losant_device_send_state(device, "{}", 0));
    return NULL;
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    device = make_device(argv);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, NULL, NULL));
    for (int number = 1; number < STATES; number++) {
        CHECK_OK(losant_device_send_state(device, "{}", 0));
    }
    CHECK_STATUS(LOSANT_ERR_NOT_RUNNING, losant_device_flush(device, 0));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, close_in_time, NULL) == 0);
    CHECK_OK(run(device, argv[3]));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(!losant_device_is_connected(device));

    /* Where nobody runs the loop, whoever waits does. On a closed device there is nothing to wait for. */
    CHECK_STATUS(LOSANT_ERR_NOT_RUNNING, losant_device_drain(device, -1));
    CHECK(stats_of(device).queued == STATES);
    CHECK_OK(losant_device_connect(device, false));
    CHECK_STATUS(LOSANT_ERR_NOT_DELIVERED, losant_device_flush(device, 300));
    latch_wait(&connected, 2);
    CHECK_STATUS(LOSANT_ERR_NOT_DELIVERED, losant_device_drain(device, 0));
    CHECK(stats_of(device).queued == STATES);
    CHECK_STATUS(LOSANT_ERR_NOT_RUNNING, losant_device_drain(device, -1));
    CHECK_OK(losant_device_free(device));
    return 0;
}
