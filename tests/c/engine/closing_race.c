/* HOST PORT ROUNDS: another thread closes at any moment; the blocking connect returns LOSANT_OK each time. */
#include "check.h"

static losant_device *device;
static struct latch begun = LATCH_INIT, ended = LATCH_INIT;
static int closes;

static void on_close(losant_device *which, const losant_event *event, void *user_data)
{
    (void)which;
    (void)user_data;
    CHECK_STATUS(LOSANT_OK, event->status);
    closes++;
}

static int count_of(struct latch *latch)
{
    pthread_mutex_lock(&latch->mutex);
    int count = latch->count;
    pthread_mutex_unlock(&latch->mutex);
    return count;
}

static void *close_again_and_again(void *rounds)
{
    for (int round = 1; round <= *(int *)rounds; round++) {
        latch_wait(&begun, round);
        while (count_of(&ended) < round) {
            CHECK_OK(losant_device_close(device));
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    int rounds = atoi(argv[3]);
    pthread_t thread;
    device = make_device(argv);
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_CLOSE, on_close, NULL, NULL));
    CHECK(pthread_create(&thread, NULL, close_again_and_again, &rounds) == 0);
    for (int round = 1; round <= rounds; round++) {
        latch_add(&begun, 0);
        CHECK_OK(losant_device_connect(device, true));
        latch_add(&ended, 0);
        CHECK(closes == round);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_OK(losant_device_free(device));
    return 0;
}
