/* What the lookup of a handle costs, as part of the cheapest call: the whole of losant_device_is_connected. */
#include "losant.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CALLS 10000000

static losant_device *device;

static void *call(void *nanoseconds) {
    struct timespec begin, end;
    int connected = 0;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    for (int i = 0; i < CALLS; i++) connected += losant_device_is_connected(device);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    if (connected != 0) exit(1);
    *(double *)nanoseconds =
        ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) / CALLS;
    return NULL;
}

int main(void) {
    double alone, together[2];
    pthread_t threads[2];
    if (losant_device_new("bench", "key", "secret", &device) != LOSANT_OK) return 1;
    call(&alone);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, call, &together[i]) != 0) return 1;
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    printf("handle lookup: %.1f ns a call, %.1f ns with two threads on one device\n", alone,
           (together[0] + together[1]) / 2);
    return losant_device_free(device) == LOSANT_OK ? 0 : 1;
}
