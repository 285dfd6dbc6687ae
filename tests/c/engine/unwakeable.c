/*
 * HOST PORT WAY: a host that has closed the library's descriptors hears of it in the log, and the log callback may call
 * into that very device. WAY is "start" or "epoll".
 */
#include "check.h"

#include <fcntl.h>

static losant_device *device;
static struct latch heard = LATCH_INIT, connected = LATCH_INIT;

static void on_log(int level, const char *message, size_t message_len, void *user_data)
{
    (void)level;
    (void)message_len;
    (void)user_data;
    if (strstr(message, "cannot wake")) {
        int fd, timeout;
        /* With a lock held, these would wait for ever. */
        (void)losant_device_next_timeout(device, &timeout);
        (void)losant_device_fd(device, &fd);
        CHECK_OK(losant_device_send_state(device, "{}", 0));
        latch_add(&heard, 0);
    }
}

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    (void)user_data;
    latch_add(&connected, 0);
}

/* Puts something that cannot be written to in the place of every eventfd. */
static void spoil_descriptors(void)
{
    int nothing = open("/dev/null", O_RDONLY);
    CHECK(nothing >= 0);
    for (int fd = 3; fd < 64; fd++) {
        char link[64], what[64] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        if (readlink(link, what, sizeof what - 1) > 0 && strstr(what, "eventfd")) {
            CHECK(dup2(nothing, fd) == fd);
        }
    }
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    device = make_device(argv);
    CHECK_OK(losant_set_log_callback(on_log, LOSANT_LOG_ERROR, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, NULL, NULL));
    if (strcmp(argv[3], "start") == 0) {
        CHECK_OK(losant_device_start(device));
    } else {
        int fd;
        CHECK_OK(losant_device_fd(device, &fd));
        CHECK_OK(losant_device_connect(device, false));
        while (!losant_device_is_connected(device)) {
            CHECK_OK(losant_device_loop(device, 1000));
        }
    }
    latch_wait(&connected, 1);
    spoil_descriptors();
    /* Each wakes the loop; one that finds it awake says nothing. */
    while (heard.count == 0) {
        CHECK_OK(losant_device_send_state(device, "{}", 0));
        if (strcmp(argv[3], "start") != 0 && heard.count == 0) {
            CHECK_OK(losant_device_loop(device, 0));
        }
    }
    CHECK_OK(losant_device_close(device));
    /* Nothing could wake the background thread, so the device is not freed. */
    return 0;
}
