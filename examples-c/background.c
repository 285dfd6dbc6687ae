/* Lets the library's background thread do the network work, while the main thread measures at its own pace, until
 * Ctrl-C. The command "setInterval" with a number of seconds as its payload changes the pace.
 *
 * Settings come from the environment: LOSANT_DEVICE_ID, LOSANT_KEY and LOSANT_SECRET; for a broker other than Losant's
 * also LOSANT_HOST, LOSANT_PORT and LOSANT_SECURE (1 or 0). */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <losant.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long interval = 1;

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

/* Runs on the background thread: what it shares with the main thread needs a lock. */
static void on_command(losant_device *device, const losant_event *event, void *user_data) {
    (void)device, (void)user_data;
    printf("command %s, payload %s\n", event->name, event->payload);
    long seconds = strtol(event->payload, NULL, 10);
    if (strcmp(event->name, "setInterval") != 0 || seconds < 1)
        return;
    pthread_mutex_lock(&lock);
    interval = seconds;
    pthread_mutex_unlock(&lock);
}

static volatile sig_atomic_t refused;

static void on_close(losant_device *device, const losant_event *event, void *user_data) {
    (void)device, (void)user_data;
    printf("closed: %s\n", losant_status_string(event->status));
    refused = event->status != LOSANT_OK;
    if (refused)
        kill(getpid(), SIGTERM); /* the broker refuses this device: the main thread need not go on */
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);

    losant_set_log_callback(on_log, LOSANT_LOG_WARN, NULL);
    losant_device *device;
    check(losant_device_new(setting("LOSANT_DEVICE_ID", "my-device-id"), setting("LOSANT_KEY", "my-app-access-key"),
                            setting("LOSANT_SECRET", "my-app-access-secret"), &device), "new");
    check(losant_device_set_host(device, setting("LOSANT_HOST", "broker.losant.com")), "host");
    check(losant_device_set_port(device, atoi(setting("LOSANT_PORT", "0"))), "port");
    check(losant_device_set_secure(device, atoi(setting("LOSANT_SECURE", "1")) != 0), "secure");
    check(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, on_command, NULL, NULL), "observer");
    check(losant_device_add_event_observer(device, LOSANT_EVENT_CLOSE, on_close, NULL, NULL), "observer");
    check(losant_device_start(device), "start");

    struct timespec pause = {0};
    for (int reading = 0; sigtimedwait(&ends, NULL, &pause) < 0; reading++) {
        char state[64];
        snprintf(state, sizeof state, "{\"voltage\": %.2f}", 3.3 + 0.01 * (reading % 7));
        check(losant_device_send_state(device, state, 0), "send");
        pthread_mutex_lock(&lock);
        pause.tv_sec = interval;
        pthread_mutex_unlock(&lock);
    }

    /* What this answers is told by the numbers below, too. */
    losant_device_drain(device, 3000);
    losant_stats stats;
    check(losant_device_stats(device, &stats, sizeof stats), "stats");
    printf("%" PRIu64 " states accepted, %" PRIu64 " delivered\n", stats.accepted, stats.delivered);
    check(losant_device_free(device), "free");
    return refused;
}
