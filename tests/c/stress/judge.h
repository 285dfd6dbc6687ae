/*
 * Judges calls: whether what they return is documented, and whether they return. Each thread that calls has a number, `me`;
 * the library's own thread is 0.
 */
#ifndef JUDGE_H
#define JUDGE_H

#include "check.h"

/* A call that does not wait, or one that somebody should have ended, hangs if it takes longer. */
#define HANGS_MS 60000
#define WATCHED 10

#define LOAD(place) __atomic_load_n(&(place), __ATOMIC_SEQ_CST)
#define STORE(place, value) __atomic_store_n(&(place), value, __ATOMIC_SEQ_CST)
#define ADD(place, value) __atomic_add_fetch(&(place), value, __ATOMIC_SEQ_CST)

/* What each thread is in. */
static struct watched {
    const char *call;
    int64_t since_ms;
} watched[WATCHED];

static uint64_t seed, calls;

/* depth: in how many callbacks and destructors the thread is. gone: the device is freed for certain, or none. */
static __thread int me, depth;
static __thread bool gone;

/* A random number below this one. */
static uint32_t pick(uint32_t count)
{
    static __thread uint64_t chance;
    if (!chance) {
        chance = ADD(seed, UINT64_C(0x9E3779B97F4A7C15)) | 1;
    }
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (uint32_t)(chance >> 33) % count;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void begin(const char *call)
{
    STORE(watched[me].since_ms, now_ms());
    STORE(watched[me].call, call);
}

/* Statuses as a set. */
#define S(status) (UINT64_C(1) << -(LOSANT_##status))
#define ANYTIME (S(OK) | S(ERR_INVALID_HANDLE))
#define SET (ANYTIME | S(ERR_ALREADY_RUNNING))
#define BAD_ARGUMENT (S(ERR_NULL_ARGUMENT) | S(ERR_INVALID_UTF8) | S(ERR_INVALID_ARGUMENT))
#define SEND                                                                                                           \
    (ANYTIME | BAD_ARGUMENT | S(ERR_INVALID_JSON) | S(ERR_NOT_AN_OBJECT) | S(ERR_TOO_LARGE) | S(ERR_OUTBOX_FULL) |     \
     S(ERR_CLOSING))
#define REFUSED                                                                                                        \
    (S(ERR_PROTOCOL_VERSION) | S(ERR_DEVICE_ID) | S(ERR_SERVER_UNAVAILABLE) | S(ERR_CREDENTIALS) | S(ERR_NOT_AUTHORIZED))
#define LOST                                                                                                           \
    (REFUSED | S(ERR_RESOLVE) | S(ERR_REFUSED) | S(ERR_TIMED_OUT) | S(ERR_NETWORK) | S(ERR_CONNECTION_LOST) |          \
     S(ERR_KEEP_ALIVE) | S(ERR_PROTOCOL) | S(ERR_TLS) | S(ERR_TLS_VERSION) | S(ERR_CERTIFICATE_UNKNOWN) |              \
     S(ERR_CERTIFICATE_FILE) | S(ERR_WEBSOCKET_REFUSED) | S(ERR_WEBSOCKET_PROTOCOL) | S(ERR_WEBSOCKET))
/* What a call that would wait answers inside a callback. */
#define IF_INSIDE (depth ? S(ERR_IN_CALLBACK) : 0)

static int judge(const char *call, int status, uint64_t allowed)
{
    if (gone && allowed & S(ERR_INVALID_HANDLE)) {
        allowed = S(ERR_INVALID_HANDLE);
    }
    if (status > 0 || status < -63 || !(allowed >> -status & 1)) {
        fprintf(stderr, "%d (%s) is not documented for %s\n", status, losant_status_string(status), call);
        abort();
    }
    begin(NULL);
    ADD(calls, 1);
    return status;
}

#define CALL(allowed, call) (begin(#call), judge(#call, (call), (allowed)))

/* Ends the program if a call hangs; one that others must end, if it does so while all devices are being closed. */
static void watch(int64_t stopped_ms)
{
    bool hangs = stopped_ms && now_ms() - stopped_ms > 2 * HANGS_MS;
    for (int thread = 0; thread < WATCHED; thread++) {
        const char *call = LOAD(watched[thread].call);
        int64_t since_ms = LOAD(watched[thread].since_ms);
        if (call && (strstr(call, "-1") || strstr(call, "true"))) {
            since_ms = !stopped_ms ? now_ms() : since_ms > stopped_ms ? since_ms : stopped_ms;
        }
        hangs |= call && now_ms() - since_ms > HANGS_MS;
    }
    for (int thread = 0; hangs && thread < WATCHED; thread++) {
        const char *call = LOAD(watched[thread].call);
        fprintf(stderr, "thread %d for %" PRId64 " ms in %s\n", thread, now_ms() - LOAD(watched[thread].since_ms),
                call ? call : "no call");
    }
    if (hangs) {
        abort();
    }
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

#endif
