/* A name server that does not answer: this program brings its own getaddrinfo, which waits until it is told to fail. */
#ifndef NAMELESS_H
#define NAMELESS_H

#include "check.h"

#include <netdb.h>

static struct latch asked = LATCH_INIT, answer = LATCH_INIT;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    (void)service;
    (void)hints;
    (void)found;
    CHECK(strcmp(node, "no-such-host.invalid") == 0);
    latch_add(&asked, 0);
    latch_wait(&answer, 1);
    return EAI_NONAME;
}

#endif
