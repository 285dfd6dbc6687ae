/*
 * HOST PORT WAY: each state has an id before anything is told about it, and one end. Sends from the main thread while the
 * device may already be telling, fills the outbox before it runs, and closes with everything delivered.
 */
#include "check.h"

#define STATES 200
#define KEPT 50

static uint64_t ids[STATES + 1];
static int delivered[STATES + 1], dropped[STATES + 1];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void on_state_end(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    CHECK(user_data == ids);
    uint64_t id = event->state_id;
    CHECK(id >= 1 && id <= STATES);
    pthread_mutex_lock(&mutex);
    /* Written before the event could be raised. */
    CHECK(ids[id] == id);
    if (event->type == LOSANT_EVENT_DELIVERED) {
        CHECK(event->status == LOSANT_OK);
        delivered[id]++;
    } else {
        CHECK(event->type == LOSANT_EVENT_DROPPED && event->status == LOSANT_ERR_OUTBOX_FULL);
        dropped[id]++;
    }
    pthread_mutex_unlock(&mutex);
}

static void send_states(losant_device *device, int from, int to)
{
    for (int number = from; number <= to; number++) {
        char state[32];
        snprintf(state, sizeof state, "{\"n\":%d}", number);
        CHECK_OK(send_of(device, NULL, state, 0, &ids[number]));
        CHECK(ids[number] == (uint64_t)number);
    }
}

static losant_device *device;
static struct latch connected = LATCH_INIT;

static void on_connect(losant_device *unused, const losant_event *event, void *user_data)
{
    (void)unused;
    (void)event;
    (void)user_data;
    latch_add(&connected, 0);
}

static void *go_on(void *unused)
{
    (void)unused;
    latch_wait(&connected, 1);
    send_states(device, 151, STATES);
    CHECK_OK(losant_device_flush(device, -1));
    CHECK_OK(losant_device_drain(device, -1));
    CHECK(stats_of(device).queued == 0);
    return NULL;
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    device = make_device(argv);
    CHECK_OK(losant_device_set_outbox_limits(device, KEPT, 1 << 20));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, NULL, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_DELIVERED, on_state_end, ids, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_DROPPED, on_state_end, ids, NULL));

    send_states(device, 1, 150);
    CHECK(stats_of(device).dropped_outbox_full == 150 - KEPT && stats_of(device).queued == KEPT);
    /* Nobody runs the loop yet, so nobody is told. */
    CHECK(dropped[1] == 0);

    /* The rest while it runs, with room enough. */
    CHECK_OK(losant_device_set_outbox_limits(device, 10 * STATES, 1 << 20));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, go_on, NULL) == 0);
    CHECK_OK(run(device, argv[3]));
    CHECK(pthread_join(thread, NULL) == 0);

    for (int number = 1; number <= STATES; number++) {
        bool was_dropped = number <= 150 - KEPT;
        CHECK(dropped[number] == was_dropped && delivered[number] == !was_dropped);
    }
    CHECK(stats_of(device).accepted == STATES && stats_of(device).queued == 0);

    /* A closed device that was told to stop takes no more until it is connected again. */
    CHECK_STATUS(LOSANT_ERR_CLOSING, losant_device_send_state(device, "{}", 0));
    CHECK_OK(losant_device_set_when_full(device, LOSANT_WHEN_FULL_REFUSE_NEWEST));
    CHECK_OK(losant_device_set_outbox_limits(device, 1, 1024));
    CHECK_OK(losant_device_connect(device, false));
    uint64_t id = 77;
    CHECK_OK(send_of(device, NULL, "{}", 0, &id));
    CHECK(id == STATES + 1);
    CHECK_STATUS(LOSANT_ERR_OUTBOX_FULL, send_of(device, NULL, "{}", 0, &id));
    CHECK(id == STATES + 1 && stats_of(device).refused_outbox_full == 1);
    CHECK_OK(losant_device_free(device));
    say("told");
    return 0;
}
