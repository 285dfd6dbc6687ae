/*
 * HOST TCP_PORT TLS_PORT WS_PORT WSS_PORT SECONDS SEED: threads call anything on any of the devices, whether that makes
 * sense or not, from callbacks and destructors too. Judged are the statuses, the callbacks, the destructors, the states'
 * accounts, and what is left in the end; a call that hangs is named.
 */
#include "calls.h"

#define THREADS 8
#define SLOTS 50
/* So many threads may be in calls that only others end. */
#define MAY_WAIT 3

/* One device from new to free. Kept to the end of the program, for callbacks that should not come. */
struct life {
    losant_device *device;
    struct life *before;
    /* Freed by whom-ever; freed outside of callbacks, or inside its own: no callback may be running or begin. */
    int freed, freed_by_its_callback, over;
    int inside, connects, heard[LOSANT_EVENT_DROPPED + 1];
    /* The last that was added with a destructor. Perhaps gone: only a name for its removal. */
    void *latest;
};

/* User data that goes with its observer. */
struct owned {
    struct life *life;
    int alive, inside;
};

static struct life *slots[SLOTS], *lives;
static int stop, waiting, misbehaving, added, destroyed, workers, heard[LOSANT_EVENT_DROPPED + 1];
static uint64_t events, devices;

static __thread struct life *calling;

static void call_something(struct life *life);

/* From inside a callback or destructor. */
static void misbehave(struct life *own)
{
    if (depth > 3 || pick(4)) {
        return;
    }
    const char *within = LOAD(watched[me].call);
    ADD(misbehaving, 1);
    if (!LOAD(stop)) {
        call_something(pick(2) ? own : LOAD(slots[pick(SLOTS)]));
    }
    ADD(misbehaving, -1);
    begin(within);
}

/* Around each callback. */
static struct life *enter(losant_device *device, struct life *life)
{
    struct life *outer = calling;
    ADD(events, 1);
    CHECK(device == life->device);
    CHECK(!LOAD(life->over));
    CHECK(__atomic_exchange_n(&life->inside, 1, __ATOMIC_SEQ_CST) == 0);
    calling = life;
    depth++;
    return outer;
}

static void leave(struct life *life, struct life *outer)
{
    if (pick(20) == 0) {
        /* Long enough for others to come and wait. */
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    depth--;
    calling = outer;
    CHECK(!LOAD(life->over));
    STORE(life->inside, 0);
    if (life->freed_by_its_callback) {
        STORE(life->over, 1);
    }
}

static void on_event(losant_device *device, const losant_event *event, void *user_data)
{
    struct life *life = user_data;
    struct life *outer = enter(device, life);
    CHECK(event->device_id_len == strlen(event->device_id));
    misbehave(life);
    leave(life, outer);
}

static void on_owned(losant_device *device, const losant_event *event, void *user_data)
{
    (void)event;
    struct owned *owned = user_data;
    CHECK(owned->alive && !owned->inside);
    struct life *outer = enter(device, owned->life);
    owned->inside = 1;
    misbehave(owned->life);
    CHECK(owned->alive);
    owned->inside = 0;
    leave(owned->life, outer);
}

static void destroy(void *user_data)
{
    struct owned *owned = user_data;
    CHECK(owned->alive && !owned->inside);
    owned->alive = 0;
    depth++;
    misbehave(owned->life);
    depth--;
    free(owned);
    ADD(destroyed, 1);
}

/* These are there all the time. */
static void count(losant_device *device, const losant_event *event, void *user_data)
{
    struct life *life = user_data;
    struct life *outer = enter(device, life);
    ADD(life->heard[event->type], 1);
    ADD(heard[event->type], 1);
    leave(life, outer);
}

/* Some of what is logged concerns no device, and some is logged inside callbacks. */
static void on_log(int level, const char *message, size_t length, void *user_data)
{
    CHECK(level >= LOSANT_LOG_ERROR && level <= LOSANT_LOG_DEBUG && strlen(message) == length);
    CHECK(user_data == &log_lines);
    ADD(log_lines, 1);
    depth++;
    misbehave(LOAD(slots[pick(SLOTS)]));
    depth--;
}

static void observe(losant_device *device, struct life *life)
{
    int event = (int)pick(9);
    if (pick(2)) {
        uint64_t removed = ANYTIME | BAD_ARGUMENT | S(ERR_NO_SUCH_OBSERVER) | (depth ? S(ERR_BUSY) : 0);
        bool plain = pick(2);
        void *user_data = plain ? life : LOAD(life->latest);
        CALL(removed, losant_device_remove_event_observer(device, event, plain ? on_event : on_owned, user_data));
    } else if (pick(2)) {
        CALL(ANYTIME | BAD_ARGUMENT, losant_device_add_event_observer(device, event, on_event, life, NULL));
    } else {
        struct owned *owned = malloc(sizeof *owned);
        CHECK(owned);
        *owned = (struct owned){.life = life, .alive = 1};
        if (CALL(ANYTIME | BAD_ARGUMENT, losant_device_add_event_observer(device, event, on_owned, owned,
                                                                                         destroy)) == LOSANT_OK) {
            ADD(added, 1);
            STORE(life->latest, owned);
        } else {
            free(owned);
        }
    }
}

/* Calls that only another thread may end, outside of callbacks. */
static void wait_long(losant_device *device, struct life *life)
{
    if (ADD(waiting, 1) <= MAY_WAIT && !LOAD(stop)) {
        int status;
        switch (pick(4)) {
        case 0:
            status = CALL(ANYTIME | LOST | S(ERR_ALREADY_RUNNING), losant_device_connect(device, true));
            if (status != LOSANT_ERR_ALREADY_RUNNING && status != LOSANT_ERR_INVALID_HANDLE) {
                ADD(life->connects, 1);
            }
            break;
        case 1: CALL(ANYTIME | REFUSED | S(ERR_NOT_RUNNING) | S(ERR_BUSY), losant_device_loop(device, -1)); break;
        case 2: CALL(ANYTIME | REFUSED | S(ERR_NOT_RUNNING), losant_device_flush(device, -1)); break;
        default: CALL(ANYTIME | REFUSED | S(ERR_NOT_RUNNING), losant_device_drain(device, -1)); break;
        }
    }
    ADD(waiting, -1);
}

static void drive(losant_device *device, struct life *life)
{
    int timeout = (int)pick(6), number;
    switch (pick(12)) {
    case 0:
        if (!depth) {
            wait_long(device, life);
        } else if (calling) {
            CALL(S(ERR_IN_CALLBACK) | S(ERR_INVALID_HANDLE), losant_device_connect(device, true));
        }
        break;
    case 1:
    case 6:
        if (CALL(SET, losant_device_start(device)) == LOSANT_OK) {
            ADD(life->connects, 1);
        }
        break;
    case 2:
        if (CALL(SET, losant_device_connect(device, false)) == LOSANT_OK) {
            ADD(life->connects, 1);
        }
        break;
    case 3:
        CALL(ANYTIME | REFUSED | IF_INSIDE | S(ERR_NOT_RUNNING) | S(ERR_NOT_DELIVERED), losant_device_flush(device, timeout));
        break;
    case 4: CALL(ANYTIME | BAD_ARGUMENT | S(ERR_NOT_RUNNING), losant_device_fd(device, &number)); break;
    case 5: CALL(ANYTIME | BAD_ARGUMENT | S(ERR_NOT_RUNNING), losant_device_next_timeout(device, &number)); break;
    default:
        CALL(ANYTIME | REFUSED | IF_INSIDE | S(ERR_NOT_RUNNING) | S(ERR_BUSY), losant_device_loop(device, timeout));
        break;
    }
}

static void free_device(losant_device *device, struct life *life)
{
    if (CALL(ANYTIME, losant_device_free(device)) == LOSANT_OK) {
        CHECK(__atomic_exchange_n(&life->freed, 1, __ATOMIC_SEQ_CST) == 0);
        if (!depth) {
            CHECK(!LOAD(life->inside));
            STORE(life->over, 1);
        } else if (calling == life) {
            life->freed_by_its_callback = 1;
        }
    }
}

static void end(losant_device *device, struct life *life)
{
    switch (pick(8)) {
    case 0: free_device(device, life); break;
    case 1: CALL(ANYTIME | REFUSED | IF_INSIDE | S(ERR_NOT_RUNNING) | S(ERR_NOT_DELIVERED), losant_device_drain(device, (int)pick(20))); break;
    default: CALL(ANYTIME, losant_device_close(device)); break;
    }
}

static struct life *new_life(int slot)
{
    struct life *life = calloc(1, sizeof *life);
    char id[16];
    CHECK(life);
    snprintf(id, sizeof id, "device-%d", slot);
    CALL(S(OK), losant_device_new(id, KEY, SECRET, &life->device));
    life->before = LOAD(lives);
    while (!__atomic_compare_exchange_n(&lives, &life->before, life, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    ADD(devices, 1);
    for (int event = LOSANT_EVENT_CONNECT; event <= LOSANT_EVENT_DROPPED; event++) {
        CHECK_OK(losant_device_add_event_observer(life->device, event, count, life, NULL));
    }
    set_broker(life->device);
    CHECK_OK(losant_device_set_ca_file(life->device, getenv("LOSANT_TEST_CA"), true));
    CHECK_OK(losant_device_set_reconnect_delay(life->device, 5, 100));
    CHECK_OK(losant_device_set_outbox_limits(life->device, 200, 100000));
    return life;
}

/* Any call on this device, or on what is none. */
static void call_something(struct life *life)
{
    bool nonsense = pick(40) == 0, outer = gone;
    gone = nonsense || LOAD(life->over);
    losant_device *device = life->device;
    if (nonsense) {
        /* One that this slot of the library may have in a million devices. */
        uintptr_t none[] = {0, 1, 4096, (uintptr_t)&device, UINTPTR_MAX, (uintptr_t)device + ((uintptr_t)1 << 40)};
        device = (losant_device *)none[pick(6)];
    }
    losant_stats stats;
    uint32_t what = pick(100);
    if (what < 10) {
        configure(device);
    } else if (what < 45) {
        send_something(device);
    } else if (what < 60) {
        observe(device, life);
    } else if (what < 90) {
        drive(device, life);
    } else if (what < 98) {
        CALL(ANYTIME | BAD_ARGUMENT, losant_device_stats(device, &stats, pick(4) ? sizeof stats : pick(sizeof stats)));
        CHECK(!losant_device_is_connected(device) || !gone);
    } else {
        end(device, life);
    }
    gone = outer;
}

static void *work(void *number)
{
    me = 1 + (int)(intptr_t)number;
    while (!LOAD(stop)) {
        int slot = (int)pick(SLOTS);
        struct life *life = LOAD(slots[slot]);
        if (pick(LOAD(life->freed) ? 20 : 500) == 0) {
            life = __atomic_exchange_n(&slots[slot], new_life(slot), __ATOMIC_SEQ_CST);
            free_device(life->device, life);
        } else {
            call_something(life);
        }
    }
    ADD(workers, -1);
    return NULL;
}

/* Nobody else is at work any more. */
static void settle(struct life *life, int64_t stopped_ms)
{
    if (!life->freed) {
        CHECK_OK(losant_device_close(life->device));
        /* The background thread may have it. */
        STORE(watched[me].call, "a close event that is still to come");
        while (LOAD(life->heard[LOSANT_EVENT_CLOSE]) != life->connects) {
            CHECK(LOAD(life->heard[LOSANT_EVENT_CLOSE]) < life->connects);
            watch(stopped_ms);
        }
        STORE(watched[me].call, NULL);
        losant_stats stats = stats_of(life->device);
        uint64_t delivered = stats.delivered;
        uint64_t dropped = stats.dropped_outbox_full + stats.dropped_undeliverable + stats.dropped_invalid_time;
        CHECK(stats.accepted == delivered + dropped + stats.queued);
        CHECK((uint64_t)LOAD(life->heard[LOSANT_EVENT_DELIVERED]) <= delivered && (uint64_t)LOAD(life->heard[LOSANT_EVENT_DROPPED]) <= dropped);
        CHECK_OK(losant_device_free(life->device));
        STORE(life->over, 1);
    }
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_free(life->device));
}

static int count_entries(const char *path)
{
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    int found = 0;
    while (readdir(directory)) {
        found++;
    }
    closedir(directory);
    return found;
}

int main(int argc, char **argv)
{
    CHECK(argc == 8);
    settings = argv;
    seed = strtoull(argv[7], NULL, 10);
    me = THREADS + 1;
    int descriptors = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
    for (int slot = 0; slot < SLOTS; slot++) {
        slots[slot] = new_life(slot);
    }
    pthread_t running[THREADS];
    workers = THREADS;
    for (intptr_t number = 0; number < THREADS; number++) {
        CHECK(pthread_create(&running[number], NULL, work, (void *)number) == 0);
    }
    for (int64_t until = now_ms() + 1000 * atoi(argv[6]); now_ms() < until;) {
        watch(0);
    }

    say("stopping");
    STORE(stop, 1);
    int64_t stopped_ms = now_ms();
    /* Whoever waits for something is let go when its device is closed; by now all are in their slots. */
    while (LOAD(workers) > 0 || LOAD(misbehaving) > 0) {
        for (int slot = 0; slot < SLOTS; slot++) {
            CALL(ANYTIME, losant_device_close(LOAD(slots[slot])->device));
        }
        watch(stopped_ms);
    }
    for (int number = 0; number < THREADS; number++) {
        CHECK(pthread_join(running[number], NULL) == 0);
    }
    for (int slot = 0; slot < SLOTS; slot++) {
        settle(slots[slot], stopped_ms);
    }
    STORE(watched[me].call, "the end of the library's threads");
    while (count_entries("/proc/self/task") > threads + FOREIGN_THREADS) {
        watch(stopped_ms);
    }
    CHECK(count_entries("/proc/self/fd") == descriptors);
    CHECK(added == destroyed);

    uint64_t connects = 0;
    for (struct life *life = lives, *before; life; life = before) {
        before = life->before;
        connects += (uint64_t)life->connects;
        CHECK(!life->inside);
        free(life);
    }
    CHECK_OK(losant_set_log_callback(NULL, LOSANT_LOG_ERROR, NULL));
    say("%" PRIu64 " calls, %" PRIu64 " devices, %" PRIu64 " begun, %d connected, %d again, %d closed, %d commands, %d errors, "
        "%d delivered, %d dropped, %" PRIu64 " events, %d destroyed, %" PRIu64 " logged",
        calls, devices, connects, heard[LOSANT_EVENT_CONNECT], heard[LOSANT_EVENT_RECONNECT], heard[LOSANT_EVENT_CLOSE],
        heard[LOSANT_EVENT_COMMAND], heard[LOSANT_EVENT_ERROR], heard[LOSANT_EVENT_DELIVERED],
        heard[LOSANT_EVENT_DROPPED], events, destroyed, log_lines);
    return 0;
}
