/* Tells callgrind, when a program runs under it, from where to where to count. Without it, nothing happens. */

#include <valgrind/callgrind.h>

void begin(void)
{
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
}

void end(const char *name)
{
    CALLGRIND_DUMP_STATS_AT(name);
    CALLGRIND_STOP_INSTRUMENTATION;
}

int counting(void)
{
    return RUNNING_ON_VALGRIND;
}
