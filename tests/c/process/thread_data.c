/*
 * HOST PORT: a thread's own device, which goes with the thread, by a destructor that the C library calls when everything
 * else of the thread has gone, what the library keeps of it too.
 */
#include "check.h"

static pthread_key_t key;
static struct latch connected = LATCH_INIT, closed = LATCH_INIT;
static int destroyed, passes;

static void on_event(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    latch_add(user_data, 0);
}

static void count(void *user_data)
{
    ++*(int *)user_data;
}

static void at_the_end(void *data)
{
    losant_device *device = data;
    /* Comes again after those of others. */
    if (++passes < 3) {
        CHECK(pthread_setspecific(key, device) == 0);
        return;
    }
    CHECK_OK(losant_device_send_state(device, "{\"last\":true}", 0));
    CHECK(stats_of(device).accepted > 0);
    CHECK_STATUS(LOSANT_ERR_NOT_RUNNING, losant_device_loop(device, 0));
    CHECK_OK(losant_device_remove_event_observer(device, LOSANT_EVENT_CONNECT, on_event, &connected));
    CHECK_OK(losant_device_close(device));
    latch_wait(&closed, 1);
    CHECK_OK(losant_device_connect(device, false));
    CHECK_OK(losant_device_close(device));
    CHECK_OK(loop_until_ended(device));
    latch_wait(&closed, 2);
    CHECK_OK(losant_device_start(device));
    CHECK_OK(losant_device_free(device));
    CHECK(destroyed == 1);
}

static void *own_a_device(void *argv)
{
    losant_device *device = make_device(argv);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_event, &connected, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CLOSE, on_event, &closed, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, on_event, &destroyed, count));
    CHECK_OK(losant_device_start(device));
    latch_wait(&connected, 1);
    CHECK(pthread_setspecific(key, device) == 0);
    return NULL;
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    pthread_t thread;
    CHECK(pthread_key_create(&key, at_the_end) == 0);
    CHECK(pthread_create(&thread, NULL, own_a_device, argv) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(passes == 3 && destroyed == 1);
    wait_for_threads(1);
    return 0;
}
