/* How far and how fast a channel may go. Pulses in quarters of a microsecond. */
#ifndef LIMITS_H
#define LIMITS_H

#include <stdbool.h>
#include <stdint.h>

struct limits {
    uint16_t low, high, rest; /* low < high, rest within */
    uint16_t slew;            /* most it may move in a period */
};

/* What flash holds of a channel. */
struct row {
    struct limits limits;
    uint8_t group;   /* place in the order of arming */
    uint8_t partner; /* that must not pull together with it, or NO_PARTNER */
    uint8_t limit;   /* to what their shares of travel may add up [1/64] */
};

struct row table_row(uint8_t channel);

/* Whether these make sense and stay within flash. */
bool limits_allowed(uint8_t channel, const struct limits *limits);

#endif
