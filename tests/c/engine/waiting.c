/*
 * HOST PORT: a close callback on the background thread that waits for the main thread does not keep the main thread from
 * freeing another device, though it is the last.
 */
#include "check.h"

static struct latch connected = LATCH_INIT, closing = LATCH_INIT, freed = LATCH_INIT;

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    (void)user_data;
    latch_add(&connected, 0);
}

static void on_close(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    (void)user_data;
    latch_add(&closing, 0);
    latch_wait(&freed, 1);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    losant_device *patient = make_device(argv), *other;
    CHECK_OK(losant_device_new("other", KEY, SECRET, &other));
    CHECK_OK(losant_device_set_host(other, argv[1]));
    CHECK_OK(losant_device_set_port(other, atoi(argv[2])));
    use_transport(other);
    CHECK_OK(losant_device_add_event_observer(patient, LOSANT_EVENT_CONNECT, on_connect, NULL, NULL));
    CHECK_OK(losant_device_add_event_observer(other, LOSANT_EVENT_CONNECT, on_connect, NULL, NULL));
    CHECK_OK(losant_device_add_event_observer(patient, LOSANT_EVENT_CLOSE, on_close, NULL, NULL));
    CHECK_OK(losant_device_start(patient));
    CHECK_OK(losant_device_start(other));
    latch_wait(&connected, 2);
    CHECK_OK(losant_device_close(patient));
    latch_wait(&closing, 1);
    CHECK_OK(losant_device_free(other));
    latch_add(&freed, 0);
    CHECK_OK(losant_device_free(patient));
    wait_for_threads(1);
    return 0;
}
