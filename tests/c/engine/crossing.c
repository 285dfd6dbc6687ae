/*
 * HOST PORT: calls that wait outside of callbacks do not wait inside, where the other thread may be waiting for this one:
 * two callbacks that turn each other's devices, and a log callback that frees the device whose callback changes the log.
 */
#include "check.h"

static losant_device *devices[2];
static struct latch inside = LATCH_INIT;

static void turn_the_other(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    /* Now each loop has a thread that is to close the device. */
    CHECK_OK(losant_device_close(device));
    latch_add(&inside, 0);
    latch_wait(&inside, 2);
    CHECK_STATUS(LOSANT_ERR_BUSY, losant_device_loop(devices[device == devices[0]], -1));
    /* Neither goes on while the other one may look. */
    latch_add(&inside, 0);
    latch_wait(&inside, 4);
}

static void *turn(void *device)
{
    CHECK_OK(loop_until_ended(device));
    return NULL;
}

static void turning_each_other(char **argv)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        devices[i] = make_device(argv);
        CHECK_OK(losant_device_set_port(devices[i], 1));
        CHECK_OK(losant_device_add_event_observer(devices[i], LOSANT_EVENT_ERROR, turn_the_other, NULL, NULL));
        CHECK_OK(losant_device_connect(devices[i], false));
    }
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&threads[i], NULL, turn, devices[i]) == 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK_OK(losant_device_free(devices[i]));
    }
}

static struct latch in_log = LATCH_INIT, in_callback = LATCH_INIT;

static void free_it(int level, const char *message, size_t length, void *user_data)
{
    (void)level;
    (void)length;
    if (strstr(message, "NULL")) {
        latch_add(&in_log, 0);
        latch_wait(&in_callback, 1);
        CHECK_STATUS(LOSANT_ERR_IN_CALLBACK, losant_device_flush(user_data, -1));
        CHECK_OK(losant_device_free(user_data));
    }
}

static void change_log(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    (void)user_data;
    latch_wait(&in_log, 1);
    latch_add(&in_callback, 0);
    CHECK_OK(losant_set_log_callback(NULL, LOSANT_LOG_ERROR, NULL));
}

static void freeing_what_changes_the_log(char **argv)
{
    losant_device *device = make_device(argv);
    CHECK_OK(losant_set_log_callback(free_it, LOSANT_LOG_ERROR, device));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, change_log, NULL, NULL));
    CHECK_OK(losant_device_start(device));
    CHECK_STATUS(LOSANT_ERR_NULL_ARGUMENT, losant_device_send_state(device, NULL, 0));
    wait_for_threads(1);
    /* What the background thread left until someone outside of callbacks can wait for it. */
    CHECK_OK(losant_device_free(make_device(argv)));
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    turning_each_other(argv);
    say("turned");
    freeing_what_changes_the_log(argv);
    return 0;
}
