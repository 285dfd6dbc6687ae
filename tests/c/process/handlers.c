/*
 * HOST PORT WAY: the library, and what it is built on, registers nothing that would run behind the program's back and
 * leaves the environment alone. This program has its own version of each function that does such things.
 */
#include "check.h"

#include <signal.h>

/* What was called while the library was at work. */
static const char *volatile called;
static volatile bool watching;

static int note(const char *function)
{
    if (watching) {
        called = function;
    }
    return 0;
}

typedef void (*handler)(int);

/* What atexit and pthread_atfork are made of. */
int __cxa_atexit(void (*function)(void *), void *argument, void *library)
{
    (void)function;
    (void)argument;
    (void)library;
    return note("atexit");
}

int __cxa_at_quick_exit(void (*function)(void *), void *library)
{
    (void)function;
    (void)library;
    return note("at_quick_exit");
}

int on_exit(void (*function)(int, void *), void *argument)
{
    (void)function;
    (void)argument;
    return note("on_exit");
}

int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *library)
{
    (void)prepare;
    (void)parent;
    (void)child;
    (void)library;
    return note("pthread_atfork");
}

int sigaction(int number, const struct sigaction *action, struct sigaction *before)
{
    (void)number;
    (void)before;
    return action ? note("sigaction") : 0;
}

handler signal(int number, handler action)
{
    (void)number;
    (void)action;
    note("signal");
    return SIG_DFL;
}

int setenv(const char *name, const char *value, int overwrite)
{
    (void)name;
    (void)value;
    (void)overwrite;
    return note("setenv");
}

int unsetenv(const char *name)
{
    (void)name;
    return note("unsetenv");
}

int putenv(char *setting)
{
    (void)setting;
    return note("putenv");
}

int clearenv(void)
{
    return note("clearenv");
}

static void nothing(void)
{
}

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    CHECK_OK(losant_device_close(device));
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    watching = true;
    /* That this program's versions are the ones that are called. */
    CHECK(atexit(nothing) == 0 && called);
    called = NULL;

    losant_device *device = make_device(argv);
    CHECK_OK(losant_device_set_host(device, "localhost"));
    CHECK_OK(losant_device_set_system_roots(device, true));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, NULL, NULL));
    CHECK_OK(run(device, argv[3]));
    CHECK_OK(losant_device_free(device));
    watching = false;
    if (called) {
        fprintf(stderr, "%s was called\n", called);
        return 1;
    }
    return 0;
}
