/*
 * HOST PORT WAY STATES: a timer interrupts every system call of this program, a thousand times a second, while it connects,
 * reports so many states, and hears commands until one says "stop".
 */
#define _XOPEN_SOURCE 700

#include "check.h"

#include <signal.h>
#include <sys/time.h>

static volatile sig_atomic_t interruptions;
static int commands;

static void on_alarm(int number)
{
    (void)number;
    interruptions++;
}

static void report(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    for (int i = 0; i < *(int *)user_data; i++) {
        char state[32];
        snprintf(state, sizeof state, "{\"n\":%d}", i);
        CHECK_OK(losant_device_send_state(device, state, 0));
    }
}

static void count(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    (void)user_data;
    commands++;
}

static void fail(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)user_data;
    say("error %d: %s", (int)event->status, event->text);
}

int main(int argc, char **argv)
{
    CHECK(argc == 5);
    int states = atoi(argv[4]);
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval often = {{0, 1000}, {0, 1000}}, stop = {{0, 0}, {0, 0}};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);

    losant_device *device = make_device(argv);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, report, &states, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, count, NULL, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, close_on_stop, NULL, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_ERROR, fail, NULL, NULL));
    CHECK_OK(run(device, argv[3]));
    CHECK_OK(losant_device_free(device));

    CHECK(setitimer(ITIMER_REAL, &stop, NULL) == 0);
    CHECK(interruptions > 20);
    say("%d commands", commands);
    return 0;
}
