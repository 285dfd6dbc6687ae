/*
 * What the C test programs share: checks, a line out, a line in, and the ways to run a device.
 *
 * Each is called with HOST PORT WAY and arguments of its own, tells on stdout what happens, and is told on stdin what to
 * do; the Rust side plays the outside world and judges. Each includes what it needs and nothing else runs.
 */
#ifndef CHECK_H
#define CHECK_H

#define _POSIX_C_SOURCE 200809L

#include "losant.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#if defined(__GNUC__)
#define MAYBE_UNUSED __attribute__((unused))
#else
#define MAYBE_UNUSED
#endif

#define DEVICE_ID "507f191e810c19729de860ea"
#define KEY "7c6f2a9e"
#define SECRET "b1946ac92492d234"

/* Ends the program with the place and the text of what is not as it should be. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                                  \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* The same for the status that a call returns. */
#define CHECK_STATUS(expected, call)                                                                                   \
    do {                                                                                                               \
        int status_ = (call);                                                                                          \
        if (status_ != (expected)) {                                                                                   \
            fprintf(stderr, "%s:%d: %d (%s), not %d: %s\n", __FILE__, __LINE__, status_,                               \
                    losant_status_string(status_), (int)(expected), #call);                                            \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#define CHECK_OK(call) CHECK_STATUS(LOSANT_OK, call)

/* What the device has done so far. */
MAYBE_UNUSED static losant_stats stats_of(const losant_device *device)
{
    losant_stats stats;
    CHECK_OK(losant_device_stats(device, &stats, sizeof stats));
    CHECK(stats.size == sizeof stats);
    return stats;
}

/* Sends a state of a peripheral, or with NULL the device's own, and tells its id. */
MAYBE_UNUSED static losant_status send_of(losant_device *device, const char *peripheral, const char *json, int64_t time_ms,
                                          uint64_t *id)
{
    losant_state state = LOSANT_STATE_INIT;
    state.json = json;
    state.time_ms = time_ms;
    state.peripheral_id = peripheral;
    return losant_device_send(device, &state, id);
}

/* A line on stdout, whole and at once, from any thread. */
MAYBE_UNUSED static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    flockfile(stdout);
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout);
    funlockfile(stdout);
    va_end(arguments);
}

/* A line from stdin without its end; false when there are no more. */
MAYBE_UNUSED static bool hear(char *line, size_t size)
{
    if (!fgets(line, (int)size, stdin)) {
        return false;
    }
    line[strcspn(line, "\n")] = '\0';
    return true;
}

/* Something that another thread waits for. */
struct latch {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int count;
    int value;
};

#define LATCH_INIT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0}

MAYBE_UNUSED static void latch_add(struct latch *latch, int value)
{
    pthread_mutex_lock(&latch->mutex);
    latch->count++;
    latch->value = value;
    pthread_cond_broadcast(&latch->changed);
    pthread_mutex_unlock(&latch->mutex);
}

/* Waits until the latch has been added to that often; the last value. */
MAYBE_UNUSED static int latch_wait(struct latch *latch, int count)
{
    pthread_mutex_lock(&latch->mutex);
    while (latch->count < count) {
        pthread_cond_wait(&latch->changed, &latch->mutex);
    }
    int value = latch->value;
    pthread_mutex_unlock(&latch->mutex);
    return value;
}

/* ThreadSanitizer has a thread of its own. */
#ifdef __SANITIZE_THREAD__
#define FOREIGN_THREADS 1
#else
#define FOREIGN_THREADS 0
#endif

/* Waits until this process has only so many threads left. */
MAYBE_UNUSED static void wait_for_threads(int wanted)
{
    int found;
    do {
        DIR *tasks = opendir("/proc/self/task");
        CHECK(tasks != NULL);
        found = 0;
        for (struct dirent *task = readdir(tasks); task; task = readdir(tasks)) {
            found += task->d_name[0] != '.';
        }
        closedir(tasks);
        sched_yield();
    } while (found > wanted + FOREIGN_THREADS);
}

/* The transport of this run: plain TCP, or what the environment says. */
MAYBE_UNUSED static void use_transport(losant_device *device)
{
    const char *transport = getenv("LOSANT_TEST_TRANSPORT");
    bool websocket = transport && transport[0] == 'w';
    bool secure = transport && strchr(transport + 1, 's') && strcmp(transport, "ws") != 0;
    CHECK_OK(losant_device_set_secure(device, secure));
    if (websocket) {
        CHECK_OK(losant_device_set_transport(device, LOSANT_TRANSPORT_WEBSOCKETS));
    }
    if (secure) {
        CHECK_OK(losant_device_set_ca_file(device, getenv("LOSANT_TEST_CA"), true));
    }
}

/* A device for the broker at argv[1], port argv[2], which comes back fast. The broker bans nobody. */
MAYBE_UNUSED static losant_device *make_device(char **argv)
{
    losant_device *device = NULL;
    CHECK_OK(losant_device_new(DEVICE_ID, KEY, SECRET, &device));
    CHECK(device != NULL);
    CHECK_OK(losant_device_set_host(device, argv[1]));
    CHECK_OK(losant_device_set_port(device, atoi(argv[2])));
    use_transport(device);
    CHECK_OK(losant_device_set_reconnect_delay(device, 10, 50));
    CHECK_OK(losant_device_set_rate_limit(device, 0, 0, 1));
    return device;
}

/* An observer that tells what it hears, one event a line, fields between tabs. */
MAYBE_UNUSED static void tell(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)user_data;
    CHECK(strcmp(event->device_id, DEVICE_ID) == 0 && event->device_id_len == strlen(DEVICE_ID));
    switch (event->type) {
    case LOSANT_EVENT_CONNECT:
        say("connect");
        break;
    case LOSANT_EVENT_RECONNECT:
        say("reconnect");
        break;
    case LOSANT_EVENT_CLOSE:
    case LOSANT_EVENT_ERROR:
        CHECK(event->text_len == strlen(event->text));
        say("%s\t%d\t%d\t%s", event->type == LOSANT_EVENT_CLOSE ? "close" : "error", (int)event->status,
            (int)event->stage, event->text);
        break;
    case LOSANT_EVENT_COMMAND:
        CHECK(event->name_len == strlen(event->name) && event->payload_len == strlen(event->payload));
        CHECK(event->time_len == strlen(event->time) && event->topic_len == strlen(event->topic));
        say("command\t%s\t%s\t%" PRId64 "\t%s\t%s\t%s", event->name, event->payload, event->time_ms, event->time,
            event->topic, event->message);
        break;
    case LOSANT_EVENT_DELIVERED:
        say("delivered\t%" PRIu64, event->state_id);
        break;
    case LOSANT_EVENT_DROPPED:
        say("dropped\t%" PRIu64 "\t%d", event->state_id, (int)event->status);
        break;
    }
}

/* All but the ends of states. */
MAYBE_UNUSED static void tell_everything(losant_device *device)
{
    for (int type = LOSANT_EVENT_CONNECT; type <= LOSANT_EVENT_ERROR; type++) {
        CHECK_OK(losant_device_add_event_observer(device, type, tell, NULL, NULL));
    }
}

/* An observer that closes the device when the command "stop" comes. */
MAYBE_UNUSED static void close_on_stop(losant_device *device, const losant_event *event, void *user_data)
{
    (void)user_data;
    if (strcmp(event->name, "stop") == 0) {
        CHECK_OK(losant_device_close(device));
    }
}

/* Runs the loop until the device has ended; by request is LOSANT_OK. */
MAYBE_UNUSED static int loop_until_ended(losant_device *device)
{
    int status;
    do {
        status = losant_device_loop(device, -1);
    } while (status == LOSANT_OK);
    return status == LOSANT_ERR_NOT_RUNNING || status == LOSANT_ERR_INVALID_HANDLE ? LOSANT_OK : status;
}

/* The same from an event loop of the program's own. */
MAYBE_UNUSED static int epoll_until_ended(losant_device *device)
{
    int fd = -1, epoll = epoll_create1(EPOLL_CLOEXEC);
    CHECK(epoll >= 0);
    CHECK_OK(losant_device_fd(device, &fd));
    struct epoll_event wanted = {.events = EPOLLIN}, ready;
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted) == 0);
    int status, timeout;
    do {
        status = losant_device_next_timeout(device, &timeout);
        if (status == LOSANT_OK) {
            CHECK(epoll_wait(epoll, &ready, 1, timeout) >= 0 || errno == EINTR);
            status = losant_device_loop(device, 0);
        }
    } while (status == LOSANT_OK);
    close(epoll);
    return status == LOSANT_ERR_NOT_RUNNING || status == LOSANT_ERR_INVALID_HANDLE ? LOSANT_OK : status;
}

MAYBE_UNUSED static void on_end(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    latch_add(user_data, event->status);
}

/* Runs a device in one of the ways until it has ended, and tells how. */
MAYBE_UNUSED static int run(losant_device *device, const char *way)
{
    if (strcmp(way, "blocking") == 0) {
        return losant_device_connect(device, true);
    }
    if (strcmp(way, "start") == 0) {
        struct latch ended = LATCH_INIT;
        CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CLOSE, on_end, &ended, NULL));
        CHECK_OK(losant_device_start(device));
        int status = latch_wait(&ended, 1);
        CHECK_OK(losant_device_remove_event_observer(device, LOSANT_EVENT_CLOSE, on_end, &ended));
        return status;
    }
    CHECK_OK(losant_device_connect(device, false));
    if (strcmp(way, "loop") == 0) {
        return loop_until_ended(device);
    }
    CHECK(strcmp(way, "epoll") == 0);
    return epoll_until_ended(device);
}

#endif
