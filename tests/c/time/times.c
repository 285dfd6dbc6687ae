/* Every form of time that Losant writes; others are refused and leave the result alone. */
#include "check.h"

#define MS INT64_C(1464743391145)

int main(void)
{
    static const char *const same[] = {
        "2016-06-01T01:09:51.145Z",
        "\"2016-06-01T01:09:51.145Z\"",
        "2016-06-01T01:09:51.145",
        "2016-06-01T03:09:51.145+02:00",
        "2016-06-01T03:09:51.145+0200",
        "2016-06-01T03:09:51.145+02",
        "2016-05-31T19:39:51.145-05:30",
        "1464743391145",
        "{\"$date\":\"2016-06-01T01:09:51.145Z\"}",
        "{ \"$date\" : 1464743391145 }",
        "{\"$date\":{\"$numberLong\":\"1464743391145\"}}",
        "{\"$numberLong\":\"1464743391145\"}",
    };
    static const char *const refused[] = {"", "now", "null", "2016-13-01T00:00:00Z", "{\"$date\":null}", "{", "{}"};
    int64_t ms;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        ms = 77;
        CHECK_OK(losant_parse_time(same[i], &ms));
        CHECK(ms == MS);
    }
    ms = 77;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        CHECK_STATUS(LOSANT_ERR_INVALID_TIME, losant_parse_time(refused[i], &ms));
    }
    CHECK_STATUS(LOSANT_ERR_INVALID_UTF8, losant_parse_time("\xff", &ms));
    CHECK_STATUS(LOSANT_ERR_NULL_ARGUMENT, losant_parse_time(NULL, &ms));
    CHECK(ms == 77);
    CHECK_STATUS(LOSANT_ERR_NULL_ARGUMENT, losant_parse_time("0", NULL));
    return 0;
}
