/*
 * HOST PORT NODE ERRNO: tries to connect once and tells what happens. The program brings its own getaddrinfo, which must be
 * asked for NODE, by which it knows 127.0.0.1, or fails with ERRNO if that is not 0.
 */
#include "check.h"

#include <netdb.h>
#include <netinet/in.h>

static char **arguments;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    (void)service;
    (void)hints;
    CHECK(strcmp(node, arguments[3]) == 0);
    errno = atoi(arguments[4]);
    if (errno != 0) {
        return EAI_SYSTEM;
    }
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

int main(int argc, char **argv)
{
    CHECK(argc == 5);
    arguments = argv;
    losant_device *device = make_device(argv);
    tell_everything(device);
    say("returned\t%d", losant_device_connect(device, true));
    CHECK_OK(losant_device_free(device));
    wait_for_threads(1);
    return 0;
}
