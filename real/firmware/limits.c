#include "limits.h"

bool limits_allowed(uint8_t channel, const struct limits *given) {
    struct limits widest = table_row(channel).limits;
    return widest.low <= given->low && given->low < given->high && given->high <= widest.high &&
           given->low <= given->rest && given->rest <= given->high && 0 < given->slew &&
           given->slew <= widest.slew;
}
