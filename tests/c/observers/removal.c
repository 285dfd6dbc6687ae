/*
 * HOST PORT: what removing and freeing promise while a callback runs on the background thread. Outside of callbacks they
 * wait for it; inside a callback of another device they do not.
 */
#include "check.h"

static struct latch entered = LATCH_INIT, go_on = LATCH_INIT;
static volatile int inside;

/* Stays inside until told to go on, and then for a while. */
static void slow(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    int *times = user_data;
    inside = 1;
    ++*times;
    latch_add(&entered, 0);
    latch_wait(&go_on, *times);
    for (int i = 0; i < 200; i++) {
        sched_yield();
    }
    inside = 0;
}

/* Runs on the main thread, while the slow one is inside on the other. */
static void from_another_callback(losant_device *device, const losant_event *event, void *user_data)
{
    losant_device *busy = ((void **)user_data)[0];
    void *times = ((void **)user_data)[1];
    (void)device;
    (void)event;
    CHECK(inside);
    CHECK_STATUS(LOSANT_ERR_BUSY, losant_device_remove_event_observer(busy, LOSANT_EVENT_CONNECT, slow, times));
    CHECK_STATUS(LOSANT_ERR_NO_SUCH_OBSERVER,
                 losant_device_remove_event_observer(busy, LOSANT_EVENT_CONNECT, slow, times));
    CHECK_OK(losant_device_free(busy));
    CHECK(inside);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    int times = 0;
    losant_device *device = make_device(argv);

    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, slow, &times, NULL));
    CHECK_OK(losant_device_start(device));
    latch_wait(&entered, 1);
    latch_add(&go_on, 0);
    CHECK_OK(losant_device_remove_event_observer(device, LOSANT_EVENT_CONNECT, slow, &times));
    CHECK(!inside && times == 1);
    say("removed");
    CHECK_OK(losant_device_free(device));

    device = make_device(argv);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, slow, &times, NULL));
    CHECK_OK(losant_device_start(device));
    latch_wait(&entered, 2);
    latch_add(&go_on, 0);
    CHECK_OK(losant_device_free(device));
    CHECK(!inside && times == 2);
    say("freed");

    device = make_device(argv);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, slow, &times, NULL));
    CHECK_OK(losant_device_start(device));
    latch_wait(&entered, 3);
    losant_device *other = make_device(argv);
    void *both[] = {device, &times};
    CHECK_OK(losant_device_add_event_observer(other, LOSANT_EVENT_CLOSE, from_another_callback, both, NULL));
    CHECK_OK(losant_device_connect(other, false));
    CHECK_OK(losant_device_close(other));
    CHECK(inside);
    latch_add(&go_on, 0);
    wait_for_threads(1);
    /* The thread has ended by itself; what is left of it goes when someone outside of callbacks can wait for it. */
    CHECK_OK(losant_device_free(other));
    CHECK(!inside && times == 3);
    say("not waited for");
    return 0;
}
