/* COUNT: that many devices, one after the other, some with a connection attempt; memory does not grow with them. */
#include "check.h"

static int destroyed;

static void ignore(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    (void)user_data;
}

static void destroy(void *user_data)
{
    ++*(int *)user_data;
}

static void use_one(bool start)
{
    losant_device *device;
    CHECK_OK(losant_device_new(DEVICE_ID, KEY, SECRET, &device));
    CHECK_OK(losant_device_set_host(device, "127.0.0.1"));
    CHECK_OK(losant_device_set_port(device, 1));
    CHECK_OK(losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, ignore, &destroyed, destroy));
    CHECK_OK(losant_device_send_state(device, "{\"temperature\":21.5}", 0));
    if (start) {
        CHECK_OK(losant_device_start(device));
    }
    CHECK_OK(losant_device_free(device));
}

static long resident_kb(void)
{
    long pages;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%*d %ld", &pages) == 1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    int count = atoi(argv[1]);
    long early_kb = 0;
    for (int number = 1; number <= count; number++) {
        use_one(number % 1000 == 0);
        if (number == count / 10) {
            early_kb = resident_kb();
        }
    }
    CHECK(destroyed == count);
    say("%d devices: %ld KB resident, after a tenth of them %ld KB", count, resident_kb(), early_kb);
    /* The smallest block that every device forgot would be more. */
    CHECK(resident_kb() - early_kb < 256);
    return 0;
}
