/*
 * HOST PORT WAY END KEY SECRET [CHAIN CLIENT-KEY FORM PATTERN PATTERN [PATTERN]]: what the memory of this process holds of
 * key and secret while a device lives, and after it is freed; what the log says of them.
 *
 * KEY, SECRET and PATTERN are hexadecimal with every byte XORed with 0x55, so that this program has none of them where it
 * looks. END is "closed" for two connections that are closed by request, "refused" for one that the broker refuses,
 * "connecting" for a device that is freed before it is connected. CHAIN and CLIENT-KEY are files, handed over as FORM
 * "files" or "pem".
 */
#include "check.h"

#include <fcntl.h>

#define MASK 0x55
#define LONGEST 64
/* Looked for is the end of each: the allocator writes into the beginning of what is freed. */
#define END 16

struct pattern {
    const char *name;
    unsigned char masked[LONGEST];
    size_t length;
};

static struct pattern patterns[8];
static int pattern_count;

/* The value of an HTTP header, which is the secret read backwards. */
#define HEADER 2

static void add_pattern(const char *name, const char *hex)
{
    CHECK(pattern_count < (int)(sizeof patterns / sizeof *patterns));
    struct pattern *pattern = &patterns[pattern_count++];
    pattern->name = name;
    pattern->length = strlen(hex) / 2;
    CHECK(pattern->length >= END && pattern->length <= LONGEST);
    for (size_t i = 0; i < pattern->length; i++) {
        unsigned byte;
        CHECK(sscanf(hex + 2 * i, "%2x", &byte) == 1);
        pattern->masked[i] = (unsigned char)byte;
    }
}

static void add_header_pattern(void)
{
    const struct pattern *secret = &patterns[pattern_count - 1];
    struct pattern *header = &patterns[pattern_count++];
    CHECK(header == &patterns[HEADER]);
    header->name = "the header";
    header->length = secret->length;
    for (size_t i = 0; i < header->length; i++) {
        header->masked[i] = secret->masked[secret->length - 1 - i];
    }
}

static bool is_at(const struct pattern *pattern, const volatile unsigned char *place)
{
    const unsigned char *masked = pattern->masked + pattern->length - END;
    for (size_t i = 0; i < END; i++) {
        if ((place[i] ^ MASK) != masked[i]) {
            return false;
        }
    }
    return true;
}

static int count_in(const struct pattern *pattern, const volatile unsigned char *start, size_t length)
{
    int count = 0;
    for (size_t i = 0; i + END <= length; i++) {
        count += is_at(pattern, start + i);
    }
    return count;
}

/* How often it stands in memory that this process can write. Looked at in place: a copy would be one more. */
static int count_everywhere(const struct pattern *pattern)
{
    int count = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps)) {
        uintptr_t start, end;
        char mode[5];
        CHECK(sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &start, &end, mode) == 3);
        if (mode[0] == 'r' && mode[1] == 'w' && !strstr(line, "[v")) {
            count += count_in(pattern, (const volatile unsigned char *)start, end - start);
        }
    }
    fclose(maps);
    return count;
}

/* So many copies of each, of those from the first on. */
#define CHECK_COPIES(expected, first)                                                                                  \
    do {                                                                                                               \
        bool failed_ = false;                                                                                          \
        for (int p_ = first; p_ < pattern_count; p_++) {                                                               \
            int found_ = count_everywhere(&patterns[p_]);                                                              \
            if (found_ != (expected)) {                                                                                \
                fprintf(stderr, "%s:%d: %d copies of %s\n", __FILE__, __LINE__, found_, patterns[p_].name);            \
                failed_ = true;                                                                                        \
            }                                                                                                          \
        }                                                                                                              \
        if (failed_) {                                                                                                 \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static void wipe(void *memory, size_t length)
{
    for (volatile unsigned char *at = memory; length > 0; length--) {
        *at++ = 0;
    }
}

static void unmask(const struct pattern *pattern, char *text)
{
    for (size_t i = 0; i < pattern->length; i++) {
        text[i] = (char)(pattern->masked[i] ^ MASK);
    }
    text[pattern->length] = '\0';
}

static losant_device *make(void)
{
    losant_device *device = NULL;
    char key[LONGEST + 1], secret[LONGEST + 1], header[LONGEST + 1];
    unmask(&patterns[0], key);
    unmask(&patterns[1], secret);
    CHECK_OK(losant_device_new(DEVICE_ID, key, secret, &device));
    wipe(key, sizeof key);
    wipe(secret, sizeof secret);
    unmask(&patterns[HEADER], header);
    CHECK_OK(losant_device_add_http_header(device, "X-Replaced", header));
    CHECK_OK(losant_device_add_http_header(device, "X-Replaced", "x"));
    CHECK_OK(losant_device_add_http_header(device, "Authorization", header));
    wipe(header, sizeof header);
    return device;
}

static char *contents(const char *path, size_t size)
{
    char *text = calloc(1, size);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(text != NULL && file >= 0);
    ssize_t length = read(file, text, size - 1);
    CHECK(length > 0 && length < (ssize_t)size - 1);
    close(file);
    return text;
}

static void use_client_certificate(losant_device *device, const char *chain, const char *key, const char *form)
{
    if (strcmp(form, "files") == 0) {
        CHECK_OK(losant_device_set_client_certificate_files(device, chain, key));
        return;
    }
    size_t size = 16384;
    char *chain_text = contents(chain, size), *key_text = contents(key, size);
    CHECK_OK(losant_device_set_client_certificate_pem(device, chain_text, key_text));
    /* It may hold the key too. */
    wipe(chain_text, size);
    wipe(key_text, size);
    free(chain_text);
    free(key_text);
}

static void check_text(const char *text, size_t length)
{
    for (int i = 0; i < pattern_count; i++) {
        CHECK(count_in(&patterns[i], (const volatile unsigned char *)text, length) == 0);
    }
}

static int logged;

static void on_log(int level, const char *message, size_t length, void *user_data)
{
    (void)level;
    (void)user_data;
    logged++;
    check_text(message, length);
}

static void on_event(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)user_data;
    check_text(event->text, event->text_len);
}

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    /* The device's and its connection's; what was sent is gone. */
    for (int i = 0; i < 2; i++) {
        CHECK(count_everywhere(&patterns[i]) == 2);
    }
    const char *transport = getenv("LOSANT_TEST_TRANSPORT");
    CHECK(count_everywhere(&patterns[HEADER]) == (transport && transport[0] == 'w' ? 2 : 1));
    CHECK_OK(losant_device_send_state(device, "{\"a\":1}", 0));
    CHECK_OK(losant_device_close(device));
}

int main(int argc, char **argv)
{
    CHECK(argc == 7 || argc == 12 || argc == 13);
    const char *way = argv[3], *end = argv[4];
    add_pattern("the key", argv[5]);
    add_pattern("the secret", argv[6]);
    static const char *const names[] = {"the client key's text", "the client key's number", "the client key's other text"};
    add_header_pattern();
    for (int i = 10; i < argc; i++) {
        add_pattern(names[i - 10], argv[i]);
    }
    CHECK_OK(losant_set_log_callback(on_log, LOSANT_LOG_DEBUG, NULL));
    CHECK_COPIES(0, 0);

    losant_device *device = make();
    CHECK(count_everywhere(&patterns[0]) == 1 && count_everywhere(&patterns[1]) == 1);
    CHECK(count_everywhere(&patterns[HEADER]) == 1);
    CHECK_OK(losant_device_set_host(device, argv[1]));
    CHECK_OK(losant_device_set_port(device, atoi(argv[2])));
    use_transport(device);
    if (argc > 7) {
        use_client_certificate(device, argv[7], argv[8], argv[9]);
    }
    CHECK_OK(losant_device_set_reconnect_delay(device, 1, 1));
    for (int type = LOSANT_EVENT_CONNECT; type <= LOSANT_EVENT_ERROR; type++) {
        if (type != LOSANT_EVENT_COMMAND) {
            CHECK_OK(losant_device_add_event_observer(device, type, on_event, NULL, NULL));
        }
    }
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, NULL, NULL));
    if (strcmp(end, "closed") == 0) {
        CHECK_OK(run(device, way));
        CHECK_OK(run(device, way));
    } else if (strcmp(end, "refused") == 0) {
        int status = run(device, way);
        CHECK(status == LOSANT_ERR_NOT_AUTHORIZED || status == LOSANT_OK);
    } else {
        CHECK(strcmp(end, "connecting") == 0);
        CHECK_OK(losant_device_connect(device, false));
        for (int i = 0; i < 20; i++) {
            CHECK_OK(losant_device_loop(device, 10));
        }
    }
    CHECK_OK(losant_device_free(device));
    wait_for_threads(1);
    CHECK(logged > 0 || strcmp(end, "connecting") == 0);
    CHECK_COPIES(0, 0);
    return 0;
}
