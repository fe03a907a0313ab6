#include "table.h"

#include "limits.h"

#ifdef __AVR__
#include <avr/pgmspace.h>
#else
#include <string.h>
#define PROGMEM
#define memcpy_P memcpy
#endif

#define ROW(low, high, rest, slew, group, partner, limit) {{low, high, rest, slew}, group, partner, limit},
static const struct row TABLE[CHANNELS] PROGMEM = {TABLE_ROWS(ROW)};

struct row table_row(uint8_t channel) {
    struct row row;
    memcpy_P(&row, &TABLE[channel], sizeof row);
    return row;
}
