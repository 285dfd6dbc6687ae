/*
 * HOST PORT WAY HOW: the program ends with its device connected. HOW is "inside": from inside a callback, or, where WAY is
 * "start", from main while the background thread is inside one; "busy": from another thread than the one that is at work;
 * "late": the same, and the program frees the device in an exit handler, after the thread's own data has gone.
 */
#include "check.h"

#define STATUS 7

static struct latch entered = LATCH_INIT, never = LATCH_INIT, going = LATCH_INIT;
static const char *way;

static void keep_busy(losant_device *device)
{
    for (int i = 0; i < 1000; i++) {
        (void)losant_device_send_state(device, "{\"busy\":true}", 0);
    }
}

static void inside(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    keep_busy(device);
    if (strcmp(way, "start") != 0) {
        exit(STATUS);
    }
    latch_add(&entered, 0);
    latch_wait(&never, 1);
}

static void go(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    keep_busy(device);
    latch_add(&going, 0);
}

static losant_device *last;
static bool late;

static void free_last(void)
{
    if (late) {
        losant_device *another = NULL;
        CHECK_OK(losant_device_send_state(last, "{\"last\":true}", 0));
        CHECK_OK(losant_device_close(last));
        CHECK_OK(losant_device_free(last));
        CHECK_OK(losant_device_new(DEVICE_ID, KEY, SECRET, &another));
        CHECK_OK(losant_device_add_event_observer(another, LOSANT_EVENT_CONNECT, go, NULL, NULL));
        CHECK_OK(losant_device_remove_event_observer(another, LOSANT_EVENT_CONNECT, go, NULL));
        CHECK_OK(losant_device_start(another));
        CHECK_OK(losant_device_free(another));
    }
}

static void *leave(void *device)
{
    latch_wait(&going, 1);
    keep_busy(device);
    exit(STATUS);
}

int main(int argc, char **argv)
{
    CHECK(argc == 5);
    way = argv[3];
    bool from_inside = strcmp(argv[4], "inside") == 0;
    late = strcmp(argv[4], "late") == 0;
    losant_device *device = last = make_device(argv);
    CHECK(atexit(free_last) == 0);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, from_inside ? inside : go, NULL, NULL));
    pthread_t leaver;
    if (!from_inside && strcmp(way, "start") != 0) {
        CHECK(pthread_create(&leaver, NULL, leave, device) == 0);
    }
    if (strcmp(way, "start") != 0) {
        (void)run(device, way);
        latch_wait(&never, 1);
    }
    CHECK_OK(losant_device_start(device));
    if (from_inside) {
        latch_wait(&entered, 1);
        return STATUS;
    }
    leave(device);
}
