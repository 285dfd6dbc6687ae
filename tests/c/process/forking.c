/*
 * HOST PORT WAY CHILDREN: a program forks so many times while its device is busy, and while other threads hold whatever
 * locks there are. Each child finds out that the device is not its own, frees it and ends; some make a device of their own
 * first. The device goes on as if nothing had been, and delivers everything.
 */
#include "every_function.h"

#include <sys/wait.h>

static losant_device *device;
static volatile bool over;
static struct latch connected = LATCH_INIT;
static int heard;

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    latch_add(user_data, 0);
}

static void on_command(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    CHECK_OK(losant_device_send_state(device, "{\"heard\":true}", 0));
    __atomic_add_fetch(&heard, 1, __ATOMIC_SEQ_CST);
}

static void destroy(void *user_data)
{
    ++*(int *)user_data;
}

/* Numbered states, as many as the outbox takes without growing long. */
static void *send(void *argument)
{
    (void)argument;
    for (int n = 0; !over;) {
        if (stats_of(device).queued < 100) {
            char state[32];
            snprintf(state, sizeof state, "{\"n\":%d}", n++);
            CHECK_OK(losant_device_send_state(device, state, 0));
        }
        sched_yield();
    }
    return NULL;
}

/* Holds the lock of the handles half of the time. */
static void *make_and_free(void *argument)
{
    while (!over) {
        CHECK_OK(losant_device_free(make_device(argument)));
    }
    return NULL;
}

static void be_silent(int level, const char *message, size_t message_len, void *user_data)
{
    (void)level;
    (void)message;
    (void)message_len;
    CHECK(*(pid_t *)user_data == getpid());
}

/* Turns the device where the library does not; the library's own thread else. */
static void *turn(void *way)
{
    CHECK_OK(run(device, way));
    return NULL;
}

/* A device of the child's own delivers a state. */
static void deliver(char **argv, int number)
{
    char id[32];
    losant_device *mine = NULL;
    snprintf(id, sizeof id, "child-%d", number);
    CHECK_OK(losant_device_new(id, KEY, SECRET, &mine));
    CHECK(mine != device);
    CHECK_OK(losant_device_set_host(mine, argv[1]));
    CHECK_OK(losant_device_set_port(mine, atoi(argv[2])));
    use_transport(mine);
    CHECK_OK(losant_device_send_state(mine, "{\"child\":true}", 0));
    if (number % 2 == 0) {
        CHECK_OK(losant_device_start(mine));
        while (stats_of(mine).delivered == 0) {
            sched_yield();
        }
    } else {
        CHECK_OK(losant_device_connect(mine, false));
        while (stats_of(mine).delivered == 0) {
            CHECK_OK(losant_device_loop(mine, 1000));
        }
    }
    CHECK_OK(losant_device_close(mine));
    CHECK_OK(losant_device_free(mine));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_free(mine));
}

static void be_a_child(char **argv, int number, losant_device *freed, int *destroyed)
{
    check_refused(device, LOSANT_ERR_FORKED);
    check_refused(freed, LOSANT_ERR_INVALID_HANDLE);
    if (number % 20 == 0 || number % 20 == 1) {
        deliver(argv, number / 10);
    }
    check_refused(device, LOSANT_ERR_FORKED);
    CHECK_OK(losant_device_free(device));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_free(device));
    check_refused(device, LOSANT_ERR_INVALID_HANDLE);
    CHECK(*destroyed == 0);
    if (number % 2 == 0) {
        exit(3);
    }
    _exit(3);
}

int main(int argc, char **argv)
{
    CHECK(argc == 5);
    int children = atoi(argv[4]), destroyed = 0;
    pid_t self = getpid();
    CHECK_OK(losant_set_log_callback(be_silent, LOSANT_LOG_DEBUG, &self));
    device = make_device(argv);
    losant_device *freed = make_device(argv);
    CHECK_OK(losant_device_free(freed));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, &connected, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, on_command, &destroyed,
                                                              destroy));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_ERROR, tell, NULL, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_RECONNECT, tell, NULL, NULL));

    pthread_t turner, sender, maker;
    CHECK(pthread_create(&turner, NULL, turn, argv[3]) == 0);
    latch_wait(&connected, 1);
    CHECK(pthread_create(&sender, NULL, send, NULL) == 0);
    CHECK(pthread_create(&maker, NULL, make_and_free, argv) == 0);
    say("connected");

    for (int number = 0; number < children; number++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            /* One that hangs is ended, and found out. */
            alarm(60);
            be_a_child(argv, number, freed, &destroyed);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 3) {
            fprintf(stderr, "child %d ended with %x\n", number, (unsigned)status);
            return 1;
        }
    }
    say("forked");
    /* Goes on to be busy until told to end. */
    char line[16];
    CHECK(hear(line, sizeof line));
    over = true;
    pthread_join(sender, NULL);
    pthread_join(maker, NULL);
    while (stats_of(device).queued > 0) {
        sched_yield();
    }
    say("%d heard, %" PRIu64 " delivered, %" PRIu64 " resent", heard, stats_of(device).delivered,
        stats_of(device).resent);
    CHECK_OK(losant_device_close(device));
    pthread_join(turner, NULL);
    CHECK(destroyed == 0);
    CHECK_OK(losant_device_free(device));
    CHECK(destroyed == 1);
    return 0;
}
