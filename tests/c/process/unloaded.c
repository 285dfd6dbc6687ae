/*
 * HOST PORT LIBRARY: the program loads the library, starts a device, and closes the library before the device, which goes
 * on: the library stays loaded. This program is not linked to it.
 */
#include "check.h"

#include <dlfcn.h>

static void *library;

/* A function of the library, in the shape that POSIX asks for: ISO C has no word for it. */
#define FUNCTION(name, ...)                                                                                            \
    losant_status (*name)(__VA_ARGS__);                                                                                \
    *(void **)&name = dlsym(library, "losant_device_" #name);                                                          \
    CHECK(name != NULL)

static void on_command(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)user_data;
    say("heard %s", event->name);
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    library = dlopen(argv[3], RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    FUNCTION(new, const char *, const char *, const char *, losant_device **);
    FUNCTION(set_host, losant_device *, const char *);
    FUNCTION(set_port, losant_device *, uint32_t);
    FUNCTION(set_secure, losant_device *, bool);
    FUNCTION(set_ca_file, losant_device *, const char *, bool);
    FUNCTION(add_event_observer, losant_device *, int, losant_event_callback, void *);
    FUNCTION(start, losant_device *);
    FUNCTION(send_state, losant_device *, const char *, int64_t);
    FUNCTION(free, losant_device *);

    losant_device *device;
    CHECK(new(DEVICE_ID, KEY, SECRET, &device) == 0);
    CHECK(set_host(device, argv[1]) == 0);
    CHECK(set_port(device, (uint32_t)atoi(argv[2])) == 0);
    bool secure = strcmp(getenv("LOSANT_TEST_TRANSPORT"), "tls") == 0;
    CHECK(set_secure(device, secure) == 0);
    CHECK(!secure || set_ca_file(device, getenv("LOSANT_TEST_CA"), true) == 0);
    CHECK(add_event_observer(device, LOSANT_EVENT_COMMAND, on_command, NULL) == 0);
    CHECK(start(device) == 0);

    /* As often as it takes, were anyone to count. */
    CHECK(dlclose(library) == 0);
    (void)dlclose(library);
    CHECK(send_state(device, "{\"unloaded\":true}", 0) == 0);
    char line[16];
    CHECK(hear(line, sizeof line));

    /* Loaded anew, it is the same library. */
    library = dlopen(argv[3], RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    CHECK(dlsym(library, "losant_device_free") == *(void **)&free);
    CHECK(free(device) == 0);
    CHECK(free(device) == LOSANT_ERR_INVALID_HANDLE);
    wait_for_threads(1);
    CHECK(dlclose(library) == 0);
    return 0;
}
