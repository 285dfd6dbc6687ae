/* Calls with random arguments that a device answers from where it is: options, the log, states. */
#ifndef CALLS_H
#define CALLS_H

#include "judge.h"

/* The program's arguments. */
static char **settings;
static uint64_t log_lines;

static void on_log(int level, const char *message, size_t length, void *user_data);

/* Where the device finds a broker, now and then none that it can use. */
static void set_broker(losant_device *device)
{
    bool websocket = pick(3) == 0, secure = pick(4) == 0;
    CALL(SET | BAD_ARGUMENT, losant_device_set_host(device, pick(8) ? settings[1] : pick(8) ? "localhost" : "http://a"));
    CALL(SET | BAD_ARGUMENT, losant_device_set_port(device, pick(50) ? atoi(settings[2 + 2 * websocket + secure]) : 1));
    CALL(SET, losant_device_set_secure(device, secure));
    CALL(SET | BAD_ARGUMENT, losant_device_set_transport(device, pick(50) ? websocket : 7));
}

static void configure(losant_device *device)
{
    static const char *const no_texts[] = {NULL, "", "\xff", "not PEM"};
    const char *ca = getenv("LOSANT_TEST_CA"), *text = no_texts[pick(4)];
    switch (pick(19)) {
    case 0: set_broker(device); break;
    case 1: CALL(SET | BAD_ARGUMENT, losant_device_set_keep_alive_seconds(device, pick(4))); break;
    case 2: CALL(SET | BAD_ARGUMENT, losant_device_set_qos(device, (int)pick(3))); break;
    case 3: CALL(SET | BAD_ARGUMENT, losant_device_set_reconnect_delay(device, pick(20), 20)); break;
    case 4: CALL(SET | BAD_ARGUMENT, losant_device_set_connect_timeout(device, pick(5) * 1000)); break;
    case 5: CALL(SET | BAD_ARGUMENT, losant_device_set_outbox_limits(device, pick(500), pick(100000))); break;
    case 6: CALL(SET | BAD_ARGUMENT, losant_device_set_when_full(device, (int)pick(3))); break;
    case 7: CALL(SET | BAD_ARGUMENT, losant_device_set_max_in_flight(device, pick(200))); break;
    case 8:
        CALL(SET | BAD_ARGUMENT, losant_device_set_merge_limit(device, pick(3) * 1000));
        CALL(SET, losant_device_set_strict(device, pick(2)));
        break;
    case 9: CALL(SET | BAD_ARGUMENT, losant_device_set_rate_limit(device, pick(30), pick(300), pick(1000))); break;
    case 10: CALL(SET | BAD_ARGUMENT, losant_device_set_websocket_path(device, pick(2) ? "/mqtt" : text)); break;
    case 11: CALL(SET | BAD_ARGUMENT, losant_device_set_interface(device, pick(2) ? "lo" : NULL)); break;
    case 12:
        CALL(SET | BAD_ARGUMENT | S(ERR_CERTIFICATE_FILE), losant_device_set_ca_pem(device, text, pick(2)));
        CALL(SET, losant_device_set_ca_file(device, ca, true));
        break;
    case 13: CALL(SET, losant_device_set_ca_file(device, pick(4) ? ca : "/nowhere", pick(2))); break;
    case 14: CALL(SET, losant_device_set_system_roots(device, pick(50) == 0)); break;
    case 15:
        CALL(SET | BAD_ARGUMENT | S(ERR_CERTIFICATE_FILE), losant_device_set_client_certificate_pem(device, text, ""));
        break;
    case 16: CALL(S(OK) | S(ERR_INVALID_ARGUMENT), losant_set_connect_limit(pick(2) * 1000, pick(100))); break;
    case 17: CALL(S(OK), losant_set_log_callback(pick(4) ? on_log : NULL, 1 + (int)pick(4), &log_lines)); break;
    case 18: CHECK(losant_version()[0] && losant_status_string((int)pick(100) - 70)[0]); break;
    }
}

static void send_something(losant_device *device)
{
    static const char *const states[] = {"{\"n\":1}", "{\"text\":\"longer, but not long\"}", "{}", "[1]", "{", "\xff"};
    const char *state = pick(8) ? states[pick(3)] : states[pick(6)];
    int64_t times[] = {0, -1, (int64_t)time(NULL) * 1000}, time_ms = times[pick(3)];
    uint64_t id = 0;
    switch (pick(4)) {
    case 0: CALL(SEND, losant_device_send_state(device, pick(50) ? state : NULL, time_ms)); break;
    case 1: CALL(SEND, send_of(device, pick(9) ? "peripheral" : "#", state, time_ms, &id)); break;
    default:
        if (CALL(SEND, send_of(device, NULL, state, time_ms, &id)) == LOSANT_OK) {
            CHECK(id > 0);
        }
    }
}

#endif
