/*
 * HOST PORT: a process that has no descriptors left is told so, wherever the library needs one, and its devices connect by
 * themselves when there are some again. HOST is an address; the name "localhost" stands for it too.
 */
#include "check.h"

#include <fcntl.h>
#include <sys/resource.h>

#define MOST 64

static int held[MOST], held_count;

/* Takes every descriptor that is left. */
static void starve(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        CHECK(held_count < MOST);
        held[held_count++] = fd;
    }
    CHECK(errno == EMFILE);
}

static void give_back(void)
{
    while (held_count > 0) {
        close(held[--held_count]);
    }
}

struct told {
    struct latch errors;
    struct latch connects;
    int stage;
};

static void on_error(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    struct told *told = user_data;
    if (told->errors.count == 0) {
        told->stage = (int)event->stage;
        latch_add(&told->errors, event->status);
    }
}

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    latch_add(&((struct told *)user_data)->connects, 0);
}

static losant_device *make_observed(char **argv, const char *host, struct told *told)
{
    *told = (struct told){LATCH_INIT, LATCH_INIT, 0};
    losant_device *device = make_device(argv);
    CHECK_OK(losant_device_set_host(device, host));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_ERROR, on_error, told, NULL));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, on_connect, told, NULL));
    return device;
}

/* Nothing begins that needs a descriptor of its own, and what was refused can be called again. */
static void beginning(char **argv)
{
    int fd;
    losant_device *device = make_device(argv);
    starve();
    CHECK_STATUS(LOSANT_ERR_SYSTEM, losant_device_start(device));
    CHECK_STATUS(LOSANT_ERR_SYSTEM, losant_device_connect(device, false));
    CHECK_STATUS(LOSANT_ERR_SYSTEM, losant_device_connect(device, true));
    CHECK_STATUS(LOSANT_ERR_SYSTEM, losant_device_fd(device, &fd));
    give_back();
    CHECK_OK(losant_device_fd(device, &fd));
    CHECK_OK(losant_device_start(device));
    CHECK_OK(losant_device_free(device));
}

/* A device in the caller's loop, whose poll there is. */
static void connecting(char **argv, const char *host, int stage)
{
    struct told told;
    losant_device *device = make_observed(argv, host, &told);
    CHECK_OK(losant_device_connect(device, false));
    starve();
    while (told.errors.count == 0) {
        CHECK_OK(losant_device_loop(device, 1000));
    }
    CHECK_STATUS(LOSANT_ERR_SYSTEM, told.errors.value);
    CHECK(told.stage == stage);
    CHECK(stats_of(device).last_error == LOSANT_ERR_SYSTEM);
    give_back();
    while (told.connects.count == 0) {
        CHECK_OK(losant_device_loop(device, 1000));
    }
    CHECK_OK(losant_device_free(device));
}

/* A device that joins the background thread, which runs already. */
static void joining(char **argv)
{
    struct told first_told, told;
    losant_device *first = make_observed(argv, argv[1], &first_told), *device = make_observed(argv, argv[1], &told);
    CHECK_OK(losant_device_start(first));
    latch_wait(&first_told.connects, 1);
    starve();
    CHECK_OK(losant_device_start(device));
    CHECK_STATUS(LOSANT_ERR_SYSTEM, latch_wait(&told.errors, 1));
    CHECK(told.stage == LOSANT_STAGE_TCP);
    give_back();
    latch_wait(&told.connects, 1);
    CHECK_OK(losant_device_free(first));
    CHECK_OK(losant_device_free(device));
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = MOST;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    beginning(argv);
    connecting(argv, argv[1], LOSANT_STAGE_TCP);
    connecting(argv, "localhost", LOSANT_STAGE_RESOLVE);
    joining(argv);
    wait_for_threads(1);
    return 0;
}
