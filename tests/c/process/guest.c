/*
 * HOST PORT WAY: what the library does to the process around it while it is connected: its descriptors are closed by
 * exec, its threads take no signals, and the signal mask and the handlers of the program stay as they are.
 */
#include "check.h"

#include <fcntl.h>
#include <signal.h>

#define SIGNALS 32

static char descriptors_before[64];
static sigset_t mask_before;
static void (*handlers_before[SIGNALS])(int);

static void (*handler_of(int number))(int)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 ? action.sa_handler : SIG_DFL;
}

static void check_handlers(void)
{
    for (int number = 1; number < SIGNALS; number++) {
        CHECK(handler_of(number) == handlers_before[number]);
    }
}

/* This thread blocks all signals if it is the library's own, the same as before if it is the program's. */
static void check_signal_mask(bool library_thread)
{
    sigset_t blocked;
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0);
    for (int number = 1; number < SIGNALS; number++) {
        if (number != SIGKILL && number != SIGSTOP) {
            CHECK(sigismember(&blocked, number) == (library_thread || sigismember(&mask_before, number)));
        }
    }
}

static void look_around(void)
{
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &mask_before) == 0);
    for (int number = 1; number < SIGNALS; number++) {
        handlers_before[number] = handler_of(number);
    }
    for (int fd = 0; fd < (int)sizeof descriptors_before; fd++) {
        descriptors_before[fd] = fcntl(fd, F_GETFD) >= 0;
    }
}

static void check_descriptors(void)
{
    int opened = 0;
    for (int fd = 0; fd < (int)sizeof descriptors_before; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (!descriptors_before[fd] && flags >= 0) {
            CHECK(flags & FD_CLOEXEC);
            opened++;
        }
    }
    CHECK(opened >= 3);
}

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    check_descriptors();
    check_signal_mask(!pthread_equal(pthread_self(), *(pthread_t *)user_data));
    check_handlers();
    CHECK_OK(losant_device_close(device));
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    pthread_t self = pthread_self();
    look_around();
    losant_device *device = make_device(argv);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, &self, NULL));
    CHECK_OK(run(device, argv[3]));
    check_signal_mask(false);
    CHECK_OK(losant_device_free(device));
    wait_for_threads(1);
    return 0;
}
