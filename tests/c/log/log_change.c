/*
 * The log callback is changed while other threads log without pause. Once that has returned, the one before is not running
 * and is not called any more: what it used may go.
 */
#include "check.h"

#define CHANGES 200
#define LOGGERS 3

struct sink {
    volatile bool gone;
};

static struct latch stop = LATCH_INIT, heard = LATCH_INIT;

static void on_log(int level, const char *message, size_t length, void *user_data)
{
    struct sink *sink = user_data;
    CHECK(!sink->gone);
    CHECK(level == LOSANT_LOG_ERROR && length == strlen(message));
    sched_yield();
    CHECK(!sink->gone);
    latch_add(&heard, 0);
}

static int count_of(struct latch *latch)
{
    pthread_mutex_lock(&latch->mutex);
    int count = latch->count;
    pthread_mutex_unlock(&latch->mutex);
    return count;
}

static void *log_all_the_time(void *unused)
{
    (void)unused;
    while (count_of(&stop) == 0) {
        CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_close(NULL));
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[LOGGERS];
    static struct sink sinks[CHANGES + 1];
    CHECK_OK(losant_set_log_callback(on_log, LOSANT_LOG_ERROR, &sinks[0]));
    for (int i = 0; i < LOGGERS; i++) {
        CHECK(pthread_create(&threads[i], NULL, log_all_the_time, NULL) == 0);
    }
    for (int i = 1; i <= CHANGES; i++) {
        latch_wait(&heard, count_of(&heard) + 1);
        CHECK_OK(losant_set_log_callback(on_log, LOSANT_LOG_ERROR, &sinks[i]));
        sinks[i - 1].gone = true;
    }
    CHECK_OK(losant_set_log_callback(NULL, LOSANT_LOG_ERROR, NULL));
    sinks[CHANGES].gone = true;
    latch_add(&stop, 0);
    for (int i = 0; i < LOGGERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    return 0;
}
