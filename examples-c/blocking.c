/* Gives the main thread to the library with a blocking connect; a second thread measures and, on Ctrl-C, closes.
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

static sigset_t ends;

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

/* Runs on the main thread, inside losant_device_connect; from here too every function may be called. */
static void on_command(losant_device *device, const losant_event *event, void *user_data) {
    (void)user_data;
    printf("command %s, payload %s\n", event->name, event->payload);
    check(losant_device_send_state(device, "{\"commandSeen\": true}", 0), "send");
    if (strcmp(event->name, "shutdown") == 0)
        check(losant_device_close(device), "close");
}

static void *measure(void *argument) {
    losant_device *device = argument;
    struct timespec second = {.tv_sec = 1};
    for (int reading = 0; sigtimedwait(&ends, NULL, &second) < 0; reading++) {
        char state[64];
        snprintf(state, sizeof state, "{\"reading\": %d}", reading);
        check(losant_device_send_state(device, state, 0), "send");
    }
    /* Delivers what it can, then closes; how much is left is in the stats. */
    losant_device_drain(device, 3000);
    losant_stats stats;
    check(losant_device_stats(device, &stats, sizeof stats), "stats");
    printf("%" PRIu64 " readings were not delivered\n", stats.queued);
    return NULL;
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
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

    pthread_t thread;
    if (pthread_create(&thread, NULL, measure, device) != 0) {
        fprintf(stderr, "no thread\n");
        return 1;
    }
    losant_status status = losant_device_connect(device, true);
    printf("the connection has ended: %s\n", losant_status_string(status));
    pthread_kill(thread, SIGTERM); /* if it was not this thread that ended it */
    pthread_join(thread, NULL);
    check(losant_device_free(device), "free");
    return status == LOSANT_OK ? 0 : 1;
}
