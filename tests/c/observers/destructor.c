/*
 * HOST PORT WAY: the destructor of an observer's user data runs once, when the callback has run for the last time, with no
 * lock held; on which thread is promised too. What needs a callback on another thread is tried where WAY is "start".
 */
#include "check.h"

/* User data that counts its ends. */
struct data {
    losant_device *device;
    int calls;
    int inside;
    int destroyed;
    pthread_t destroyed_on;
};

static void destroy(void *user_data)
{
    struct data *data = user_data;
    data->destroyed_on = pthread_self();
    /* With a lock of the device held, these would wait for ever. */
    int timeout;
    (void)losant_device_is_connected(data->device);
    (void)losant_device_send_state(data->device, "{\"destroyed\":1}", 0);
    (void)losant_device_next_timeout(data->device, &timeout);
    (void)losant_device_remove_event_observer(data->device, LOSANT_EVENT_ERROR, tell, NULL);
    (void)losant_device_add_event_observer(data->device, LOSANT_EVENT_ERROR, tell, NULL, NULL);
    CHECK(data->inside == 0);
    data->destroyed++;
}

static void add(losant_device *device, int event, losant_event_callback callback, struct data *data)
{
    data->device = device;
    CHECK_OK(losant_device_add_event_observer(device, event, callback, data, destroy));
}

static void ignore(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    (void)user_data;
}

static void check_destroyed_here(const struct data *data, int times)
{
    CHECK(data->destroyed == times);
    CHECK(pthread_equal(data->destroyed_on, pthread_self()));
}

/* No callback runs: the destructor has, when the call that ends the observer returns. */
static void without_callbacks(char **argv)
{
    struct data data = {0}, other = {0};
    losant_device *device = make_device(argv);
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE,
                 losant_device_add_event_observer(NULL, LOSANT_EVENT_CLOSE, ignore, &data, destroy));
    CHECK_STATUS(LOSANT_ERR_INVALID_ARGUMENT,
                 losant_device_add_event_observer(device, 99, ignore, &data, destroy));
    CHECK_STATUS(LOSANT_ERR_NULL_ARGUMENT,
                 losant_device_add_event_observer(device, LOSANT_EVENT_CLOSE, NULL, &data, destroy));
    CHECK(data.destroyed == 0);

    /* The same twice ends twice; without a destructor it ends silently. */
    add(device, LOSANT_EVENT_CLOSE, ignore, &data);
    add(device, LOSANT_EVENT_CLOSE, ignore, &data);
    add(device, LOSANT_EVENT_CLOSE, ignore, &other);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_ERROR, ignore, &other, NULL));
    CHECK_OK(losant_device_remove_event_observer(device, LOSANT_EVENT_CLOSE, ignore, &data));
    check_destroyed_here(&data, 1);
    CHECK_OK(losant_device_remove_event_observer(device, LOSANT_EVENT_CLOSE, ignore, &data));
    check_destroyed_here(&data, 2);
    CHECK_STATUS(LOSANT_ERR_NO_SUCH_OBSERVER,
                 losant_device_remove_event_observer(device, LOSANT_EVENT_CLOSE, ignore, &data));
    CHECK_OK(losant_device_remove_event_observer(device, LOSANT_EVENT_ERROR, ignore, &other));
    CHECK(other.destroyed == 0);
    CHECK_OK(losant_device_free(device));
    check_destroyed_here(&other, 1);
    CHECK(data.destroyed == 2);
}

static void remove_itself(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    struct data *data = user_data;
    data->inside = 1;
    data->calls++;
    CHECK_OK(losant_device_remove_event_observer(device, LOSANT_EVENT_CONNECT, remove_itself, data));
    CHECK(data->destroyed == 0);
    data->inside = 0;
}

/* Called right after the one above. */
static void look(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    struct data *data = user_data;
    CHECK(data->calls == 1);
    check_destroyed_here(data, 1);
    CHECK_OK(losant_device_close(device));
}

static void removed_in_its_own_callback(char **argv)
{
    struct data data = {0};
    losant_device *device = make_device(argv);
    add(device, LOSANT_EVENT_CONNECT, remove_itself, &data);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, look, &data, NULL));
    CHECK_OK(run(device, argv[3]));
    CHECK_OK(losant_device_free(device));
    CHECK(data.calls == 1 && data.destroyed == 1);
}

static struct latch freed = LATCH_INIT;

static void destroy_last(void *user_data)
{
    destroy(user_data);
    latch_add(&freed, 0);
}

static void free_itself(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    struct data *data = user_data;
    data[0].inside = 1;
    CHECK_OK(losant_device_free(device));
    /* The other observer of the device is not running. */
    CHECK(data[0].destroyed == 0);
    check_destroyed_here(&data[1], 1);
    data[0].inside = 0;
}

static void freed_in_its_own_callback(char **argv)
{
    struct data data[2] = {{0}, {0}};
    losant_device *device = make_device(argv);
    data[0].device = device;
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, free_itself, data,
                                                              destroy_last));
    add(device, LOSANT_EVENT_CONNECT, ignore, &data[1]);
    if (strcmp(argv[3], "start") == 0) {
        CHECK_OK(losant_device_start(device));
    } else {
        CHECK_OK(run(device, argv[3]));
        CHECK(freed.count == 1);
    }
    latch_wait(&freed, 1);
    wait_for_threads(1);
    CHECK(data[0].destroyed == 1 && data[1].destroyed == 1);
}

static struct latch entered = LATCH_INIT, go_on = LATCH_INIT;

/* Stays inside until told to go on, and then for a while. */
static void slow(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    struct data *data = user_data;
    data->inside = 1;
    latch_add(&entered, 0);
    latch_wait(&go_on, entered.count);
    for (int i = 0; i < 200; i++) {
        sched_yield();
    }
    data->inside = 0;
}

static losant_device *start_slow(char **argv, struct data *data)
{
    int before = entered.count;
    losant_device *device = make_device(argv);
    data->device = device;
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, slow, data, destroy_last));
    CHECK_OK(losant_device_start(device));
    latch_wait(&entered, before + 1);
    return device;
}

/* Runs on the main thread, inside a callback of another device. */
static void end_the_slow_one(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    struct data *data = user_data;
    if (data->calls == 1) {
        CHECK_STATUS(LOSANT_ERR_BUSY,
                     losant_device_remove_event_observer(data->device, LOSANT_EVENT_CONNECT, slow, data));
    } else {
        CHECK_OK(losant_device_free(data->device));
    }
    CHECK(data->inside == 1 && data->destroyed == 0);
}

static void while_it_runs_on_another_thread(char **argv)
{
    /* From outside of callbacks: waited for, then destroyed here. */
    struct data data = {0};
    losant_device *device = start_slow(argv, &data);
    latch_add(&go_on, 0);
    CHECK_OK(losant_device_remove_event_observer(device, LOSANT_EVENT_CONNECT, slow, &data));
    check_destroyed_here(&data, 1);
    CHECK_OK(losant_device_free(device));

    memset(&data, 0, sizeof data);
    device = start_slow(argv, &data);
    latch_add(&go_on, 0);
    CHECK_OK(losant_device_free(device));
    check_destroyed_here(&data, 1);

    /* From inside another callback: not waited for; destroyed where the callback runs, when it has returned. */
    for (int how = 1; how <= 2; how++) {
        memset(&data, 0, sizeof data);
        data.calls = how;
        int before = freed.count;
        device = start_slow(argv, &data);
        losant_device *other = make_device(argv);
        CHECK_OK(losant_device_add_event_observer(other, LOSANT_EVENT_CLOSE, end_the_slow_one, &data, NULL));
        CHECK_OK(losant_device_connect(other, false));
        CHECK_OK(losant_device_close(other));
        CHECK(data.inside == 1 && data.destroyed == 0);
        latch_add(&go_on, 0);
        latch_wait(&freed, before + 1);
        CHECK(!pthread_equal(data.destroyed_on, pthread_self()));
        CHECK(losant_device_free(device) == (how == 1 ? LOSANT_OK : LOSANT_ERR_INVALID_HANDLE));
        CHECK_OK(losant_device_free(other));
        CHECK(data.destroyed == 1);
    }
    wait_for_threads(1);
}

/* Adds, removes and frees at once: as many ends as observers were added. */
static int added, ended;
static losant_device *contested;

static void count_end(void *user_data)
{
    __atomic_add_fetch((int *)user_data, 1, __ATOMIC_SEQ_CST);
}

static void *contend(void *argument)
{
    (void)argument;
    int status;
    do {
        status = losant_device_add_event_observer(contested, LOSANT_EVENT_CONNECT, ignore, &ended,
                                                                  count_end);
        if (status == LOSANT_OK) {
            __atomic_add_fetch(&added, 1, __ATOMIC_SEQ_CST);
            (void)losant_device_remove_event_observer(contested, LOSANT_EVENT_CONNECT, ignore, &ended);
        }
    } while (status == LOSANT_OK);
    CHECK(status == LOSANT_ERR_INVALID_HANDLE);
    return NULL;
}

static void at_once(char **argv)
{
    for (int round = 0; round < 50; round++) {
        pthread_t threads[4];
        contested = make_device(argv);
        for (int i = 0; i < 4; i++) {
            CHECK(pthread_create(&threads[i], NULL, contend, NULL) == 0);
        }
        for (int i = 0; i < round; i++) {
            sched_yield();
        }
        CHECK_OK(losant_device_free(contested));
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
        }
        CHECK(added == ended);
    }
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    without_callbacks(argv);
    removed_in_its_own_callback(argv);
    freed_in_its_own_callback(argv);
    if (strcmp(argv[3], "start") == 0) {
        while_it_runs_on_another_thread(argv);
        at_once(argv);
    }
    /* What the background thread left until someone outside of callbacks can wait for it. */
    CHECK_OK(losant_device_free(make_device(argv)));
    return 0;
}
