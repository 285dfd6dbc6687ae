/* The version that the header tells and the version that the library tells. */
#include "check.h"

int main(void)
{
    char composed[64];
    snprintf(composed, sizeof composed, "%d.%d.%d", LOSANT_VERSION_MAJOR, LOSANT_VERSION_MINOR, LOSANT_VERSION_PATCH);
    CHECK(strncmp(LOSANT_VERSION, composed, strlen(composed)) == 0);
    CHECK(strcmp(LOSANT_VERSION, losant_version()) == 0);
    CHECK(losant_version() == losant_version());
    say("%s", losant_version());
    return 0;
}
