/*
 * HOST PORT: two devices try to connect to a host whose name server does not answer, again and again. One look-up is under
 * way all the time, whoever waits for it; when it is answered at last, both connect. The program brings its own getaddrinfo.
 */
#include "check.h"

#include <netdb.h>
#include <netinet/in.h>
#include <semaphore.h>

static sem_t answers, failures, connects, closes;
static int lookups;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    (void)node, (void)service, (void)hints;
    __atomic_fetch_add(&lookups, 1, __ATOMIC_SEQ_CST);
    while (sem_wait(&answers) != 0) {
    }
    sem_post(&answers);
    struct sockaddr_in *address = calloc(1, sizeof *address);
    *found = calloc(1, sizeof **found);
    CHECK(address != NULL && *found != NULL);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (*found)->ai_family = AF_INET;
    (*found)->ai_socktype = SOCK_STREAM;
    (*found)->ai_addrlen = sizeof *address;
    (*found)->ai_addr = (struct sockaddr *)address;
    return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
    free(found->ai_addr);
    free(found);
}

static void on_error(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device, (void)user_data;
    CHECK(event->status == LOSANT_ERR_TIMED_OUT && event->stage == LOSANT_STAGE_RESOLVE);
    sem_post(&failures);
}

static void on_connect(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device, (void)event, (void)user_data;
    sem_post(&connects);
}

static void on_close(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device, (void)event, (void)user_data;
    sem_post(&closes);
}

static void wait_for(sem_t *semaphore, int times)
{
    for (int i = 0; i < times; i++) {
        while (sem_wait(semaphore) != 0) {
        }
    }
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    CHECK(sem_init(&answers, 0, 0) == 0 && sem_init(&failures, 0, 0) == 0 && sem_init(&connects, 0, 0) == 0);
    CHECK(sem_init(&closes, 0, 0) == 0);
    losant_device *devices[2];
    for (int i = 0; i < 2; i++) {
        devices[i] = make_device(argv);
        CHECK_OK(losant_device_set_connect_timeout(devices[i], 100));
        CHECK_OK(losant_device_add_event_observer(devices[i], LOSANT_EVENT_ERROR, on_error, NULL, NULL));
        CHECK_OK(losant_device_add_event_observer(devices[i], LOSANT_EVENT_CONNECT, on_connect, NULL, NULL));
        CHECK_OK(losant_device_add_event_observer(devices[i], LOSANT_EVENT_CLOSE, on_close, NULL, NULL));
        CHECK_OK(losant_device_start(devices[i]));
        wait_for(&failures, 8);
    }
    CHECK(__atomic_load_n(&lookups, __ATOMIC_SEQ_CST) == 1);
    /* This one, the library's and the resolver's. */
    wait_for_threads(3);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(losant_device_remove_event_observer(devices[i], LOSANT_EVENT_ERROR, on_error, NULL));
        CHECK_OK(losant_device_close(devices[i]));
        wait_for(&closes, 1);
        CHECK_OK(losant_device_set_connect_timeout(devices[i], 30000));
        CHECK_OK(losant_device_start(devices[i]));
    }
    sem_post(&answers);
    /* They have one id, so that the second takes the connection from the first. */
    wait_for(&connects, 2);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(losant_device_free(devices[i]));
    }
    wait_for_threads(1);
    return 0;
}
