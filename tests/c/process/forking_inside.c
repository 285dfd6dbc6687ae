/*
 * HOST PORT WAY: forks inside a callback, and the child comes back from it: it does nothing more with the connection, nor
 * calls back. The parent goes on.
 */
#include "every_function.h"

#include <sys/wait.h>

static pid_t parent;

static int await_child(pid_t child)
{
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    bool background = *(bool *)user_data;
    CHECK_OK(losant_device_send_state(device, "{\"before\":true}", 0));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(60);
        CHECK_STATUS(LOSANT_ERR_FORKED, losant_device_send_state(device, "{}", 0));
        return;
    }
    /* The background thread is the only one of its child, which ends with it. */
    CHECK(await_child(child) == (background ? 0 : 3));
}

/* Called next, for the same event. */
static void close_it(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    CHECK(getpid() == parent);
    CHECK_OK(losant_device_close(device));
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    parent = getpid();
    bool background = strcmp(argv[3], "start") == 0;
    losant_device *device = make_device(argv);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, &background, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, close_it, NULL, NULL));
    int status = run(device, argv[3]);
    if (getpid() != parent) {
        CHECK(status == LOSANT_ERR_FORKED);
        check_refused(device, LOSANT_ERR_FORKED);
        CHECK_OK(losant_device_free(device));
        exit(3);
    }
    CHECK_OK(status);
    uint64_t queued = 1;
    queued = stats_of(device).accepted;
    CHECK(queued == 1);
    CHECK_OK(losant_device_free(device));
    wait_for_threads(1);
    say("closed");
    return 0;
}
