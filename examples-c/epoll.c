/* Puts a device into the program's own epoll loop, beside a timer and signals, without any thread, until Ctrl-C.
 *
 * Settings come from the environment: LOSANT_DEVICE_ID, LOSANT_KEY and LOSANT_SECRET; for a broker other than Losant's
 * also LOSANT_HOST, LOSANT_PORT and LOSANT_SECURE (1 or 0). */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <losant.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value != NULL ? value : otherwise;
}

static void check(losant_status status, const char *what) {
    if (status != LOSANT_OK) {
        fprintf(stderr, "%s: %s\n", what, losant_status_string(status));
        exit(1);
    }
}

static void on_log(int level, const char *message, size_t length, void *user_data) {
    (void)level, (void)length, (void)user_data;
    fprintf(stderr, "losant: %s\n", message);
}

static void on_command(losant_device *device, const losant_event *event, void *user_data) {
    (void)device, (void)user_data;
    printf("command %s, payload %s\n", event->name, event->payload);
}

static void watch(int epoll, int fd) {
    struct epoll_event wanted = {.events = EPOLLIN, .data.fd = fd};
    if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted) != 0) {
        perror("epoll");
        exit(1);
    }
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    losant_set_log_callback(on_log, LOSANT_LOG_WARN, NULL);
    losant_device *device;
    check(losant_device_new(setting("LOSANT_DEVICE_ID", "my-device-id"), setting("LOSANT_KEY", "my-app-access-key"),
                            setting("LOSANT_SECRET", "my-app-access-secret"), &device), "new");
    check(losant_device_set_host(device, setting("LOSANT_HOST", "broker.losant.com")), "host");
    check(losant_device_set_port(device, atoi(setting("LOSANT_PORT", "0"))), "port");
    check(losant_device_set_secure(device, atoi(setting("LOSANT_SECURE", "1")) != 0), "secure");
    check(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, on_command, NULL, NULL), "observer");
    check(losant_device_connect(device, false), "connect");

    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    int signals = signalfd(-1, &ends, SFD_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec every_second = {.it_value.tv_sec = 1, .it_interval.tv_sec = 1};
    timerfd_settime(timer, 0, &every_second, NULL);
    int network;
    check(losant_device_fd(device, &network), "fd");
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, signals);
    watch(epoll, timer);
    watch(epoll, network);

    for (int reading = 0, stop = 0; !stop;) {
        int timeout;
        check(losant_device_next_timeout(device, &timeout), "next_timeout");
        struct epoll_event ready[3];
        int count = epoll_wait(epoll, ready, 3, timeout);
        for (int i = 0; i < count; i++) {
            uint64_t expirations;
            if (ready[i].data.fd == signals)
                stop = 1;
            if (ready[i].data.fd != timer || read(timer, &expirations, sizeof expirations) < 0)
                continue;
            char state[64];
            snprintf(state, sizeof state, "{\"reading\": %d}", reading++);
            check(losant_device_send_state(device, state, 0), "send");
        }
        check(losant_device_loop(device, 0), "loop"); /* for the descriptor and for the timeout; cheap if idle */
    }
    /* Delivers what it can, then closes; how much is left is in the stats. */
    losant_device_drain(device, 3000);
    losant_stats stats;
    check(losant_device_stats(device, &stats, sizeof stats), "stats");
    printf("%" PRIu64 " readings were not delivered.\n", stats.queued);
    check(losant_device_free(device), "free");
    close(epoll);
    close(timer);
    close(signals);
    return 0;
}
