/*
 * HOST PORT: an event loop of the host's own is not kept busy while another thread waits for delivery, and goes on
 * afterwards. The broker acknowledges nothing.
 */
#include "check.h"

static bool flushed;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *flush(void *device)
{
    CHECK_STATUS(LOSANT_ERR_NOT_DELIVERED, losant_device_flush(device, 500));
    pthread_mutex_lock(&mutex);
    flushed = true;
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static bool is_flushed(void)
{
    pthread_mutex_lock(&mutex);
    bool value = flushed;
    pthread_mutex_unlock(&mutex);
    return value;
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    int fd, timeout, status, passes = 0, epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event wanted = {.events = EPOLLIN}, ready;
    losant_device *device = make_device(argv);
    CHECK_OK(losant_device_connect(device, false));
    CHECK_OK(losant_device_fd(device, &fd));
    CHECK(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted) == 0);
    CHECK_OK(losant_device_send_state(device, "{}", 0));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, flush, device) == 0);
    while (!is_flushed()) {
        CHECK_OK(losant_device_next_timeout(device, &timeout));
        /* The flush may end without a sign of this loop's own. */
        CHECK(epoll_wait(epoll, &ready, 1, timeout < 0 || timeout > 1000 ? 1000 : timeout) >= 0);
        status = losant_device_loop(device, 0);
        CHECK(status == LOSANT_OK || status == LOSANT_ERR_BUSY);
        passes++;
    }
    CHECK(pthread_join(thread, NULL) == 0);
    if (passes > 100) {
        fprintf(stderr, "%d passes\n", passes);
    }
    CHECK(passes <= 100);
    CHECK_OK(losant_device_next_timeout(device, &timeout));
    CHECK(timeout >= 0 && losant_device_is_connected(device));
    CHECK_OK(losant_device_close(device));
    CHECK_OK(losant_device_free(device));
    close(epoll);
    return 0;
}
