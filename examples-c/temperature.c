/* Sends a temperature once a second and prints the commands that arrive, all on one thread, until Ctrl-C.
 *
 * Settings come from the environment: LOSANT_DEVICE_ID, LOSANT_KEY and LOSANT_SECRET; for a broker other than Losant's
 * also LOSANT_HOST, LOSANT_PORT, LOSANT_SECURE (1 or 0), LOSANT_TRANSPORT (tcp or websockets) and LOSANT_CA_FILE. */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <losant.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t stop;

static void on_signal(int number) {
    (void)number;
    stop = 1;
}

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
    printf("Command received.\n%s\n%s\n", event->name, event->payload);
}

static void on_connect(losant_device *device, const losant_event *event, void *user_data) {
    (void)device, (void)user_data;
    printf("%s connected.\n", event->device_id);
}

static double call_out_to_your_sensor_here(void) {
    static int reading;
    return 20.0 + 0.5 * (reading++ % 10);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    losant_set_log_callback(on_log, LOSANT_LOG_WARN, NULL);
    losant_device *device;
    check(losant_device_new(setting("LOSANT_DEVICE_ID", "my-device-id"), setting("LOSANT_KEY", "my-app-access-key"),
                            setting("LOSANT_SECRET", "my-app-access-secret"), &device), "new");
    check(losant_device_set_host(device, setting("LOSANT_HOST", "broker.losant.com")), "host");
    check(losant_device_set_port(device, atoi(setting("LOSANT_PORT", "0"))), "port");
    check(losant_device_set_secure(device, atoi(setting("LOSANT_SECURE", "1")) != 0), "secure");
    if (strcmp(setting("LOSANT_TRANSPORT", "tcp"), "websockets") == 0)
        check(losant_device_set_transport(device, LOSANT_TRANSPORT_WEBSOCKETS), "transport");
    if (getenv("LOSANT_CA_FILE") != NULL)
        check(losant_device_set_ca_file(device, getenv("LOSANT_CA_FILE"), true), "ca file");

    check(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, on_command, NULL, NULL), "observer");
    check(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, NULL, NULL), "observer");
    check(losant_device_add_event_observer(device, LOSANT_EVENT_RECONNECT, on_connect, NULL, NULL), "observer");
    check(losant_device_connect(device, false), "connect");

    /* The loop waits for the network until the next reading is due. Readings taken without a connection are kept, with
     * their time, and sent when there is one. */
    for (int64_t due = now_ms(); !stop;) {
        int64_t wait = due - now_ms();
        if (wait > 0) {
            check(losant_device_loop(device, (int)wait), "loop");
            continue;
        }
        char state[64];
        snprintf(state, sizeof state, "{\"temperature\": %.1f}", call_out_to_your_sensor_here());
        check(losant_device_send_state(device, state, 0), "send");
        due += 1000;
    }
    /* Delivers what it can, then closes; how much is left is in the stats. */
    losant_device_drain(device, 3000);
    losant_stats stats;
    check(losant_device_stats(device, &stats, sizeof stats), "stats");
    printf("%" PRIu64 " readings were not delivered.\n", stats.queued);
    check(losant_device_free(device), "free");
    return 0;
}
