/*
 * What is wrong with an argument is told by a status of its own, and in words by the log callback, on the calling thread,
 * before the function returns.
 */
#include "check.h"

#define MOST_JSON 262106

struct log {
    int messages;
    char last[512];
    pthread_t thread;
};

static void on_log(int level, const char *message, size_t length, void *user_data)
{
    struct log *log = user_data;
    CHECK(level == LOSANT_LOG_ERROR && length == strlen(message) && strchr(message, '\n') == NULL);
    log->messages++;
    log->thread = pthread_self();
    snprintf(log->last, sizeof log->last, "%s", message);
}

static struct log the_log;

/* The call fails with this status, and the log has just said so, with this word in it. */
#define REFUSED(status, word, call)                                                                                    \
    do {                                                                                                               \
        memset(&the_log, 0, sizeof the_log);                                                                           \
        CHECK_STATUS(status, call);                                                                                    \
        if (the_log.messages != 1 || !strstr(the_log.last, word)) {                                                    \
            fprintf(stderr, "%s:%d: logged %d times: %s\n", __FILE__, __LINE__, the_log.messages, the_log.last);       \
            exit(1);                                                                                                   \
        }                                                                                                              \
        CHECK(pthread_equal(the_log.thread, pthread_self()));                                                          \
        CHECK(!strstr(the_log.last, SECRET));                                                                          \
    } while (0)

static void ignore(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    (void)user_data;
}

/* A JSON object of so many bytes. */
static char *object_of(size_t size)
{
    char *text = malloc(size + 1);
    CHECK(text != NULL && size > 10);
    memset(text, 'x', size);
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + size - 2, "\"}", 3);
    return text;
}

static void making(void)
{
    losant_device *device = (losant_device *)&the_log;
    REFUSED(LOSANT_ERR_NULL_ARGUMENT, "device_id", losant_device_new(NULL, KEY, SECRET, &device));
    REFUSED(LOSANT_ERR_NULL_ARGUMENT, "key", losant_device_new(DEVICE_ID, NULL, SECRET, &device));
    REFUSED(LOSANT_ERR_NULL_ARGUMENT, "is NULL", losant_device_new(DEVICE_ID, KEY, NULL, &device));
    REFUSED(LOSANT_ERR_NULL_ARGUMENT, "device", losant_device_new(DEVICE_ID, KEY, SECRET, NULL));
    REFUSED(LOSANT_ERR_INVALID_UTF8, "device_id", losant_device_new("\xff", KEY, SECRET, &device));
    REFUSED(LOSANT_ERR_INVALID_UTF8, "key", losant_device_new(DEVICE_ID, "\xc3", SECRET, &device));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "empty", losant_device_new("", KEY, SECRET, &device));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "device_id", losant_device_new("a/b", KEY, SECRET, &device));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "device_id", losant_device_new("#", KEY, SECRET, &device));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "control", losant_device_new("a\n", KEY, SECRET, &device));
    CHECK(device == (losant_device *)&the_log);
}

static void options(losant_device *device)
{
    int fd;
    REFUSED(LOSANT_ERR_NULL_ARGUMENT, "host", losant_device_set_host(device, NULL));
    REFUSED(LOSANT_ERR_INVALID_UTF8, "host", losant_device_set_host(device, "\xff"));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "host", losant_device_set_host(device, ""));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "URL", losant_device_set_host(device, "mqtts://broker.losant.com"));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "port", losant_device_set_host(device, "localhost:8883"));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "xn--", losant_device_set_host(device, "b\xc3\xbc" "cher.example"));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "IPv4", losant_device_set_host(device, "127.1"));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "dots", losant_device_set_host(device, "a..b"));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "port", losant_device_set_port(device, -1));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "65536", losant_device_set_port(device, 65536));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "transport", losant_device_set_transport(device, 2));
    REFUSED(LOSANT_ERR_NULL_ARGUMENT, "name", losant_device_add_http_header(device, NULL, SECRET));
    REFUSED(LOSANT_ERR_INVALID_UTF8, "name", losant_device_add_http_header(device, "\xff", SECRET));
    REFUSED(LOSANT_ERR_INVALID_UTF8, "value", losant_device_add_http_header(device, "X-A", SECRET "\xff"));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "name", losant_device_add_http_header(device, "X A", SECRET));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "handshake", losant_device_add_http_header(device, "host", SECRET));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "handshake", losant_device_add_http_header(device, "Upgrade", NULL));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "value", losant_device_add_http_header(device, "X-A", SECRET "\r\nHost: b"));
    char *too_long = object_of(8190);
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "8,192", losant_device_add_http_header(device, "X-A", too_long));
    free(too_long);
    for (char number[] = "X-A"; number[2] <= 'P'; number[2]++) {
        CHECK_OK(losant_device_add_http_header(device, number, SECRET));
    }
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "17th", losant_device_add_http_header(device, "X-Q", SECRET));
    CHECK_OK(losant_device_add_http_header(device, "x-p", NULL));
    CHECK_OK(losant_device_add_http_header(device, "x-p", NULL));
    CHECK_OK(losant_device_add_http_header(device, "X-Q", SECRET));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "keep-alive", losant_device_set_keep_alive_seconds(device, 0));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "keep-alive", losant_device_set_keep_alive_seconds(device, 65536));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "QoS", losant_device_set_qos(device, 2));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "QoS", losant_device_set_qos(device, -1));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "initial_ms", losant_device_set_reconnect_delay(device, 0, 5));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "max_ms", losant_device_set_reconnect_delay(device, 6, 5));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "max_ms", losant_device_set_reconnect_delay(device, 5, 86400001));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "timeout_ms", losant_device_set_connect_timeout(device, 0));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "timeout_ms", losant_device_set_connect_timeout(device, 86400001));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "states", losant_device_set_outbox_limits(device, 0, 1024));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "states", losant_device_set_outbox_limits(device, 10000001, 1024));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "bytes", losant_device_set_outbox_limits(device, 1, 1023));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "bytes", losant_device_set_outbox_limits(device, 1, 1073741825));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "policy", losant_device_set_when_full(device, 2));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "messages", losant_device_set_max_in_flight(device, 0));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "messages", losant_device_set_max_in_flight(device, 1001));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "bytes", losant_device_set_merge_limit(device, 1023));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "bytes", losant_device_set_merge_limit(device, 262145));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "per_topic", losant_device_set_rate_limit(device, 100001, 1, 1));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "per_connection", losant_device_set_rate_limit(device, 1, 100001, 1));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "window_ms", losant_device_set_rate_limit(device, 1, 1, 0));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "attempts", losant_set_connect_limit(100001, 1));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "window_ms", losant_set_connect_limit(1, 86400001));
    REFUSED(LOSANT_ERR_CERTIFICATE_FILE, "DER", losant_device_set_ca_pem(device, "\x30\x82\x01\x9b\x30", false));
    REFUSED(LOSANT_ERR_CERTIFICATE_FILE, "DER",
            losant_device_set_client_certificate_pem(device, "\x30\x82\x01\x9b\x30", ""));
    REFUSED(LOSANT_ERR_CERTIFICATE_FILE, "DER",
            losant_device_set_client_certificate_pem(device, "", "\x30\x81\x9b\x30"));
    REFUSED(LOSANT_ERR_INVALID_UTF8, "pem", losant_device_set_ca_pem(device, "\xff", false));
    REFUSED(LOSANT_ERR_NULL_ARGUMENT, "fd", losant_device_fd(device, NULL));
    CHECK_OK(losant_device_fd(device, &fd));
    /* Once it runs, options are fixed. */
    CHECK_OK(losant_device_set_host(device, "127.0.0.1"));
    CHECK_OK(losant_device_set_secure(device, false));
    CHECK_OK(losant_device_connect(device, false));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_set_host(device, "localhost"));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_set_port(device, 1));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_set_secure(device, true));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_set_transport(device, LOSANT_TRANSPORT_TCP));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_add_http_header(device, "X-Q", SECRET));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_set_keep_alive_seconds(device, 1));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_set_receive_commands(device, false));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_set_qos(device, 0));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_set_reconnect_delay(device, 1, 2));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_set_connect_timeout(device, 1));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_set_outbox_limits(device, 1, 1024));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_set_when_full(device, 0));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_set_max_in_flight(device, 1));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_set_merge_limit(device, 0));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_set_strict(device, true));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_set_rate_limit(device, 1, 1, 1));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_connect(device, false));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_connect(device, true));
    REFUSED(LOSANT_ERR_ALREADY_RUNNING, "connect", losant_device_start(device));
    REFUSED(LOSANT_ERR_NULL_ARGUMENT, "timeout_ms", losant_device_next_timeout(device, NULL));
    CHECK_OK(losant_device_close(device));
    CHECK_OK(losant_device_close(device));
    REFUSED(LOSANT_ERR_NOT_RUNNING, "connect", losant_device_loop(device, 0));
    REFUSED(LOSANT_ERR_NOT_RUNNING, "connect", losant_device_next_timeout(device, &fd));
}

static void states(losant_device *device)
{
    REFUSED(LOSANT_ERR_NULL_ARGUMENT, "json", losant_device_send_state(device, NULL, 0));
    REFUSED(LOSANT_ERR_INVALID_UTF8, "json", losant_device_send_state(device, "{\"a\":\"\xff\"}", 0));
    REFUSED(LOSANT_ERR_INVALID_UTF8, "json", losant_device_send_state(device, "{\"a\":\"\xed\xa0\x80\"}", 0));
    REFUSED(LOSANT_ERR_INVALID_JSON, "line 1 column", losant_device_send_state(device, "{\"a\": 1 ", 0));
    REFUSED(LOSANT_ERR_INVALID_JSON, "JSON", losant_device_send_state(device, "", 0));
    REFUSED(LOSANT_ERR_INVALID_JSON, "JSON", losant_device_send_state(device, "{'a':1}", 0));
    REFUSED(LOSANT_ERR_INVALID_JSON, "JSON", losant_device_send_state(device, "{\"a\":NaN}", 0));
    REFUSED(LOSANT_ERR_INVALID_JSON, "JSON", losant_device_send_state(device, "{\"a\":1,}", 0));
    REFUSED(LOSANT_ERR_INVALID_JSON, "line 3 column 2", losant_device_send_state(device, "{\n\n x}", 0));
    REFUSED(LOSANT_ERR_INVALID_JSON, "JSON", losant_device_send_state(device, "{}{}", 0));
    REFUSED(LOSANT_ERR_NOT_AN_OBJECT, "object", losant_device_send_state(device, "[{\"a\":1}]", 0));
    REFUSED(LOSANT_ERR_NOT_AN_OBJECT, "object", losant_device_send_state(device, "null", 0));
    REFUSED(LOSANT_ERR_NOT_AN_OBJECT, "object", losant_device_send_state(device, " 1 ", 0));

    /* Times that Losant ignores: over 30 days old, over a day ahead, and such as are no milliseconds. */
    int64_t now_ms = (int64_t)time(NULL) * 1000, day_ms = 86400000;
    int64_t ignored[] = {now_ms - 31 * day_ms, now_ms + 2 * day_ms, -31 * day_ms, 1, now_ms / 1000, now_ms * 1000, now_ms * 1000000,
                         -now_ms - 5000, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) {
        REFUSED(LOSANT_ERR_INVALID_TIME, "time_ms", losant_device_send_state(device, "{}", ignored[i]));
    }
    CHECK_OK(losant_device_send_state(device, "{}", now_ms - 29 * day_ms));
    CHECK_OK(losant_device_send_state(device, "{}", now_ms + day_ms / 2));

    /* States outside Losant's schema. */
    CHECK_OK(losant_device_send_state(device, "{\"a.b\":1}", 0));
    CHECK_OK(losant_device_set_strict(device, true));
    static const char *const invalid[] = {"{\"bad\":null}", "{\"good\":1,\"bad\":[]}", "{\"bad\":1e400}", "{\"bad\":\"\\ud800\"}",
                                          "{\"bad.\":1}"};
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
        REFUSED(LOSANT_ERR_INVALID_STATE, "\"bad", losant_device_send_state(device, invalid[i], 0));
    }
    CHECK_OK(losant_device_send_state(device, "{\"good_-1\":1.5}", 0));
    CHECK_OK(losant_device_set_strict(device, false));

    char *largest = object_of(MOST_JSON), *too_large = object_of(MOST_JSON + 1);
    CHECK_OK(losant_device_send_state(device, largest, -5000));
    REFUSED(LOSANT_ERR_TOO_LARGE, "262107", losant_device_send_state(device, too_large, 0));
    free(largest);
    free(too_large);

    uint64_t id = 77;
    losant_state state = LOSANT_STATE_INIT;
    REFUSED(LOSANT_ERR_NULL_ARGUMENT, "state", losant_device_send(device, NULL, &id));
    REFUSED(LOSANT_ERR_NULL_ARGUMENT, "state.json", losant_device_send(device, &state, &id));
    state.json = "{}{";
    REFUSED(LOSANT_ERR_INVALID_JSON, "JSON", losant_device_send(device, &state, &id));
    state.json_len = UINT64_MAX;
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "state.json", losant_device_send(device, &state, &id));
    state.json_len = 2;
    state.peripheral_id = "a/b";
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "peripheral_id", losant_device_send(device, &state, &id));
    state.peripheral_id = "\xff";
    REFUSED(LOSANT_ERR_INVALID_UTF8, "state.peripheral_id", losant_device_send(device, &state, &id));
    state.peripheral_id = NULL;
    state.flow_version = "\xff";
    REFUSED(LOSANT_ERR_INVALID_UTF8, "state.flow_version", losant_device_send(device, &state, &id));
    state.flow_version = NULL;
    state.meta = "{";
    REFUSED(LOSANT_ERR_INVALID_JSON, "meta", losant_device_send(device, &state, &id));
    char *meta = object_of(MOST_JSON);
    state.meta = meta;
    REFUSED(LOSANT_ERR_TOO_LARGE, "meta", losant_device_send(device, &state, &id));
    free(meta);
    state.meta = NULL;
    state.size = sizeof state - 1;
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "size", losant_device_send(device, &state, &id));
    state.size = UINT32_MAX;
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "size", losant_device_send(device, &state, &id));
    /* Of a later version of the header. */
    struct {
        losant_state known;
        uint64_t unknown;
    } later = {LOSANT_STATE_INIT, 1};
    later.known.json = "{}";
    later.known.size = sizeof later;
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "member", losant_device_send(device, &later.known, &id));
    CHECK(id == 77);
    REFUSED(LOSANT_ERR_NOT_RUNNING, "connect", losant_device_flush(device, 0));
    losant_stats stats = stats_of(device);
    CHECK(stats.accepted == 5 && stats.queued == 5 && stats.refused_invalid == 41);
    CHECK(stats.connection_state == LOSANT_CONNECTION_CLOSED && stats.last_error == LOSANT_OK);
    later.unknown = 0;
    CHECK_OK(losant_device_send(device, &later.known, NULL));
    CHECK_OK(losant_device_send(device, &later.known, &id));
    CHECK(id == 7);

    REFUSED(LOSANT_ERR_NULL_ARGUMENT, "stats", losant_device_stats(device, NULL, sizeof stats));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "size", losant_device_stats(device, &stats, 0));
    CHECK(stats.accepted == 5);
    /* Of an older header, and of a later one. */
    CHECK_OK(losant_device_stats(device, &stats, offsetof(losant_stats, sent)));
    CHECK(stats.size == offsetof(losant_stats, sent) && stats.accepted == 7 && stats.sent == 0);
    struct {
        losant_stats known;
        uint64_t unknown;
    } more = {.unknown = 77};
    CHECK_OK(losant_device_stats(device, &more.known, sizeof more));
    CHECK(more.known.size == sizeof stats && more.known.accepted == 7 && more.unknown == 0);
}

static void observers(losant_device *device)
{
    REFUSED(LOSANT_ERR_NULL_ARGUMENT, "callback", losant_device_add_event_observer(device, 1, NULL, NULL, NULL));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "event", losant_device_add_event_observer(device, 0, ignore, NULL, NULL));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "event", losant_device_add_event_observer(device, 8, ignore, NULL, NULL));
    REFUSED(LOSANT_ERR_NULL_ARGUMENT, "callback", losant_device_remove_event_observer(device, 1, NULL, NULL));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "event", losant_device_remove_event_observer(device, 0, ignore, NULL));
    REFUSED(LOSANT_ERR_NO_SUCH_OBSERVER, "observer", losant_device_remove_event_observer(device, 1, ignore, NULL));
}

static void texts(void)
{
    for (int status = -50; status <= 10; status++) {
        CHECK(losant_status_string(status) != NULL && losant_status_string(status)[0] != '\0');
    }
    CHECK(strcmp(losant_status_string(LOSANT_OK), losant_status_string(LOSANT_ERR_INTERNAL)) != 0);
    CHECK(strcmp(losant_status_string(12345), losant_status_string(-12345)) == 0);
}

static void logging(void)
{
    losant_device *device;
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "max_level", losant_set_log_callback(on_log, 0, &the_log));
    REFUSED(LOSANT_ERR_INVALID_ARGUMENT, "max_level", losant_set_log_callback(on_log, 5, &the_log));
    CHECK_OK(losant_set_log_callback(NULL, LOSANT_LOG_DEBUG, NULL));
    memset(&the_log, 0, sizeof the_log);
    CHECK_STATUS(LOSANT_ERR_NULL_ARGUMENT, losant_device_new(NULL, KEY, SECRET, &device));
    CHECK(the_log.messages == 0);
}

int main(void)
{
    losant_device *device;
    CHECK_OK(losant_set_log_callback(on_log, LOSANT_LOG_ERROR, &the_log));
    making();
    CHECK_OK(losant_device_new(DEVICE_ID, KEY, SECRET, &device));
    options(device);
    states(device);
    observers(device);
    texts();
    CHECK_OK(losant_device_free(device));
    logging();
    return 0;
}
