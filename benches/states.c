/* CPU time of reporting states: liblosant beside libmosquitto, one of them per run.
 * Usage: states losant|mosquitto PORT QOS COUNT   (broker on 127.0.0.1 without TLS; user key, password secret) */
#include "losant.h"
#include <inttypes.h>
#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static int acked;

static int state(char *buffer, size_t size, int n) {
    return snprintf(buffer, size, "{\"temperature\":21.%04d,\"humidity\":40,\"n\":%d,\"door\":\"closed\"}", n % 10000, n);
}

static void losant(int port, int qos, int count) {
    losant_device *device;
    char json[128];
    uint64_t delivered = 0;
    if (losant_device_new("bench", "key", "secret", &device) != LOSANT_OK) exit(1);
    losant_device_set_host(device, "127.0.0.1");
    losant_device_set_port(device, port);
    losant_device_set_secure(device, false);
    losant_device_set_qos(device, qos);
    /* One message for each state, as the peer does it. */
    losant_device_set_rate_limit(device, 0, 0, 1);
    losant_device_connect(device, false);
    for (int sent = 0; delivered < (uint64_t)count;) {
        losant_stats stats;
        losant_device_stats(device, &stats, sizeof stats);
        for (int n = 0; sent < count && stats.queued + n < 200; n++, sent++) {
            state(json, sizeof json, sent);
            if (losant_device_send_state(device, json, 0) != LOSANT_OK) exit(1);
        }
        if (losant_device_loop(device, 1000) != LOSANT_OK) exit(1);
        losant_device_stats(device, &stats, sizeof stats);
        delivered = stats.delivered;
    }
    losant_device_free(device);
}

static void on_publish(struct mosquitto *m, void *user, int id) {
    (void)m, (void)user, (void)id;
    acked++;
}

static void mosquitto(int port, int qos, int count) {
    char json[128], message[256];
    mosquitto_lib_init();
    struct mosquitto *m = mosquitto_new("bench", true, NULL);
    mosquitto_username_pw_set(m, "key", "secret");
    mosquitto_publish_callback_set(m, on_publish);
    mosquitto_max_inflight_messages_set(m, 100);
    if (mosquitto_connect(m, "127.0.0.1", port, 60) != MOSQ_ERR_SUCCESS) exit(1);
    for (int sent = 0; acked < count;) {
        for (int n = sent - acked; sent < count && n < 200; n++, sent++) {
            state(json, sizeof json, sent);
            int length = snprintf(message, sizeof message, "{\"time\":1464743391145,\"data\":%s}", json);
            if (mosquitto_publish(m, NULL, "losant/bench/state", length, message, qos, false) != 0) exit(1);
        }
        if (mosquitto_loop(m, 1000, 1) != MOSQ_ERR_SUCCESS) exit(1);
    }
    mosquitto_destroy(m);
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    int port = atoi(argv[2]), qos = atoi(argv[3]), count = atoi(argv[4]);
    (strcmp(argv[1], "losant") == 0 ? losant : mosquitto)(port, qos, count);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double seconds = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec
                   + 1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    printf("%-9s QoS %d: %.2f CPU seconds for %d states, %.2f us each, peak %ld KB\n", argv[1], qos, seconds, count,
           1e6 * seconds / count, usage.ru_maxrss);
    return 0;
}
