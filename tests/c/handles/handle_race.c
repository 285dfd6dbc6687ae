/*
 * HOST PORT ROUNDS: eight threads call every function on devices that the others make, run, and free meanwhile. Each answer
 * is one that the function promises, a handle is freed once, and what is freed stays so.
 */
#include "check.h"

#define THREADS 8
#define DEVICES 16

static char **arguments;
static losant_device *devices[DEVICES];
static int made, freed;

static losant_device *pick(unsigned *random)
{
    *random = *random * 1103515245u + 12345u;
    return __atomic_load_n(&devices[*random / 65536 % DEVICES], __ATOMIC_SEQ_CST);
}

static void ignore(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    (void)user_data;
}

/* A callback that calls back. */
static void meddle(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    (void)losant_device_send_state(device, "{\"meddled\":true}", 0);
    (void)losant_device_remove_event_observer(device, LOSANT_EVENT_CONNECT, meddle, NULL);
}

/* The answer is a success, that of a handle which somebody has freed, or one of the others given. */
static void allow(int status, int other, int another)
{
    if (status != LOSANT_OK && status != LOSANT_ERR_INVALID_HANDLE && status != other && status != another) {
        fprintf(stderr, "%d (%s) is no answer here\n", status, losant_status_string(status));
        exit(1);
    }
}

/* Another takes the place of a device, which is freed. */
static void replace(unsigned *random)
{
    losant_device *new = make_device(arguments);
    CHECK_OK(losant_device_add_event_observer(new, LOSANT_EVENT_CONNECT, meddle, NULL, NULL));
    __atomic_add_fetch(&made, 1, __ATOMIC_SEQ_CST);
    pick(random);
    losant_device *old = __atomic_exchange_n(&devices[*random / 65536 % DEVICES], new, __ATOMIC_SEQ_CST);
    if (old) {
        allow(losant_device_free(old), LOSANT_ERR_INVALID_HANDLE, LOSANT_ERR_INVALID_HANDLE);
        __atomic_add_fetch(&freed, 1, __ATOMIC_SEQ_CST);
        CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_send_state(old, "{}", 0));
        CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_free(old));
    }
}

static void *call(void *argument)
{
    unsigned random = (unsigned)(uintptr_t)argument;
    int rounds = atoi(arguments[3]), fd, timeout;
    losant_stats stats;
    for (int i = 0; i < rounds; i++) {
        losant_device *device = pick(&random);
        switch (random / 65536 % 32) {
        case 0:
        case 1:
        case 2:
        case 3:
            replace(&random);
            break;
        case 4:
        case 5:
            allow(losant_device_start(device), LOSANT_ERR_ALREADY_RUNNING, LOSANT_ERR_BUSY);
            break;
        case 6:
            allow(losant_device_connect(device, false), LOSANT_ERR_ALREADY_RUNNING, LOSANT_ERR_BUSY);
            break;
        case 7:
        case 8:
            allow(losant_device_loop(device, 0), LOSANT_ERR_NOT_RUNNING, LOSANT_ERR_BUSY);
            break;
        case 9:
            allow(losant_device_close(device), LOSANT_OK, LOSANT_OK);
            break;
        case 10:
            allow(losant_device_fd(device, &fd), LOSANT_ERR_NOT_RUNNING, LOSANT_OK);
            break;
        case 11:
            allow(losant_device_next_timeout(device, &timeout), LOSANT_ERR_NOT_RUNNING, LOSANT_OK);
            break;
        case 12:
        case 13:
        case 14:
            allow(losant_device_send_state(device, "{\"n\":1}", 0), LOSANT_OK, LOSANT_OK);
            break;
        case 15:
            allow(losant_device_stats(device, &stats, sizeof stats), LOSANT_OK, LOSANT_OK);
            break;
        case 16:
        case 17:
            allow(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, ignore, NULL, NULL), LOSANT_OK, LOSANT_OK);
            break;
        case 18:
        case 19:
            allow(losant_device_remove_event_observer(device, LOSANT_EVENT_COMMAND, ignore, NULL),
                  LOSANT_ERR_NO_SUCH_OBSERVER, LOSANT_OK);
            break;
        case 20:
            allow(losant_device_set_keep_alive_seconds(device, 20), LOSANT_ERR_ALREADY_RUNNING, LOSANT_OK);
            break;
        case 21:
            allow(losant_device_set_qos(device, 0), LOSANT_ERR_ALREADY_RUNNING, LOSANT_OK);
            break;
        case 22:
            allow(losant_device_set_websocket_path(device, "/mqtt"), LOSANT_ERR_ALREADY_RUNNING, LOSANT_OK);
            break;
        case 23:
            allow(losant_device_set_connect_timeout(device, 1000), LOSANT_ERR_ALREADY_RUNNING, LOSANT_OK);
            break;
        default:
            (void)losant_device_is_connected(device);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    arguments = argv;
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, call, (void *)(i + 1)) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < DEVICES; i++) {
        if (devices[i]) {
            CHECK_OK(losant_device_free(devices[i]));
            freed++;
        }
    }
    CHECK(made == freed && made > 10);
    wait_for_threads(1);
    return 0;
}
