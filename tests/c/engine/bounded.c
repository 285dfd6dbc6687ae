/*
 * HOST PORT WAY NETWORK: closing, freeing and waiting end in time, whatever the network does, and leave nothing behind.
 * WAY is one of the usual, each on a thread of its own, or "alone": this thread runs the loop, and nobody does when it
 * closes. NETWORK is one of
 *   silent    connections are accepted, and that is all: MQTT, TLS or the WebSocket waits for its answer
 *   dark      not even the connection attempt is answered
 *   nameless  the name server does not answer; the program brings its own getaddrinfo
 *   full      a connected broker takes no more bytes, and many states wait
 */
#include "nameless.h"

#include <poll.h>

/* Seconds that no call may take: the 0.3 that some are given, and room for a slow machine; far less than any timeout. */
#define LIMIT 5.0
#define GIVEN_MS 300

/* Of 200 KB each: more than sockets on both ends hold. */
#define STATES 40

static const char *way, *network;
static bool is_alone, is_epoll;
static int hanging;

static double seconds(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *run_thread(void *device)
{
    CHECK_OK(run(device, way));
    return NULL;
}

/* Time for the network: a turn of the loop, if nobody else turns it. */
static void let_pass(losant_device *device)
{
    if (is_alone) {
        CHECK_OK(losant_device_loop(device, 2));
    } else {
        poll(NULL, 0, 2);
    }
}

static bool has_socket(void)
{
    for (int fd = 3; fd < 64; fd++) {
        char link[64], what[64] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        if (readlink(link, what, sizeof what - 1) > 0 && strncmp(what, "socket:", 7) == 0) {
            return true;
        }
    }
    return false;
}

static uint64_t sent(losant_device *device)
{
    uint64_t count;
    count = stats_of(device).sent;
    return count;
}

static void fill(losant_device *device)
{
    static char state[200 * 1000];
    char line[16];
    while (!losant_device_is_connected(device)) {
        let_pass(device);
    }
    say("connected");
    CHECK(hear(line, sizeof line));
    size_t length = (size_t)snprintf(state, sizeof state, "{\"text\":\"");
    memset(state + length, 'x', sizeof state - length - 3);
    strcpy(state + sizeof state - 3, "\"}");
    for (int number = 0; number < STATES; number++) {
        CHECK_OK(losant_device_send_state(device, state, 0));
    }
    uint64_t before = 0;
    for (int same = 0; same < 50; same++) {
        let_pass(device);
        if (sent(device) != before) {
            before = sent(device);
            same = 0;
        }
    }
    CHECK(before > 1 && before < STATES);
}

/* Waits until the network keeps the device waiting. */
static void wait_until_stuck(losant_device *device)
{
    if (strcmp(network, "full") == 0) {
        fill(device);
    } else if (strcmp(network, "nameless") == 0) {
        /* The first look-up goes on: all wait for the same. */
        hanging = 1;
        if (is_alone) {
            CHECK_OK(losant_device_loop(device, 0));
        }
        latch_wait(&asked, hanging);
        while (stats_of(device).attempts == 0) {
            let_pass(device);
        }
    } else if (strcmp(network, "dark") == 0) {
        while (!has_socket()) {
            let_pass(device);
        }
    } else {
        char line[16];
        struct pollfd input = {.fd = 0, .events = POLLIN};
        while (poll(&input, 1, 0) == 0) {
            let_pass(device);
        }
        CHECK(hear(line, sizeof line));
    }
}

static void end(char **argv, const char *how)
{
    losant_device *device = make_device(argv);
    CHECK_OK(losant_device_set_connect_timeout(device, 100 * 1000));
    CHECK_OK(losant_device_set_outbox_limits(device, 1000, 64 * 1000 * 1000));
    CHECK_OK(losant_device_set_max_in_flight(device, 1000));
    CHECK_OK(losant_device_send_state(device, "{}", 0));
    struct latch closed = LATCH_INIT;
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CLOSE, on_end, &closed, NULL));
    pthread_t thread;
    bool is_started = strcmp(way, "start") == 0;
    if (is_started) {
        CHECK_OK(losant_device_start(device));
    } else if (is_alone) {
        CHECK_OK(losant_device_connect(device, false));
    } else {
        CHECK(pthread_create(&thread, NULL, run_thread, device) == 0);
    }
    wait_until_stuck(device);

    double begin = seconds();
    bool is_freed = false, is_joined = is_started || is_alone;
    if (strcmp(how, "close") == 0) {
        CHECK_OK(losant_device_close(device));
        latch_wait(&closed, 1);
    } else if (strcmp(how, "drain") == 0) {
        CHECK_STATUS(LOSANT_ERR_NOT_DELIVERED, losant_device_drain(device, GIVEN_MS));
        CHECK(stats_of(device).queued > 0);
        CHECK_STATUS(LOSANT_OK, latch_wait(&closed, 1));
    } else {
        if (strcmp(how, "flush") == 0) {
            CHECK_STATUS(LOSANT_ERR_NOT_DELIVERED, losant_device_flush(device, GIVEN_MS));
        }
        if (is_epoll) {
            /* An event loop does not hear that a descriptor is gone. */
            CHECK_OK(losant_device_close(device));
            CHECK(pthread_join(thread, NULL) == 0);
            is_joined = true;
        }
        CHECK_OK(losant_device_free(device));
        is_freed = true;
    }
    if (!is_joined) {
        CHECK(pthread_join(thread, NULL) == 0);
    }
    if (!is_freed) {
        CHECK_OK(losant_device_free(device));
    }
    double took = seconds() - begin;
    say("%s %.3f", how, took);
    CHECK(took < LIMIT);
    wait_for_threads(1 + hanging);
    CHECK(!has_socket());
}

int main(int argc, char **argv)
{
    CHECK(argc == 5);
    way = argv[3];
    network = argv[4];
    is_alone = strcmp(way, "alone") == 0;
    is_epoll = strcmp(way, "epoll") == 0;
    end(argv, "close");
    end(argv, "drain");
    end(argv, "flush");
    end(argv, "free");
    latch_add(&answer, 0);
    wait_for_threads(1);
    return 0;
}
