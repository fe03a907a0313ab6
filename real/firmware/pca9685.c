#include "pca9685.h"

#include "hal.h"
#include "motion.h"
#include "table.h"

#define FIRST 0x40
#define BOARDS 2
#define OUTPUTS 16

#define MODE1 0x00
#define MODE1_SLEEP 0x10
#define MODE1_INCREMENT 0x20
#define LED0_ON_L 0x06
#define ALL_OFF_H 0xFD
#define FULL_OFF 0x10
#define PRESCALE 0xFE

/* 25 MHz / (122 * 4096) = 50.03 Hz; one count is 122 / 25 MHz = 4.88 us = 19.52 quarters of a us. */
#define DIVIDER 122
#define COUNT_CENTI 1952
#define COUNTS_PER_QUARTER 53719UL /* 2^20 / 19.52: a product is six times faster than a division */
/* Outputs rise one after another, so that 16 servos do not draw current in the same moment. 15 * 160 + 512 < 4096. */
#define STAGGER 160

static bool set(uint8_t board, uint8_t where, uint8_t value) {
    const uint8_t bytes[2] = {where, value};
    return hal_bus_write(FIRST + board, bytes, 2);
}

/* The second one is switched even if the first does not answer. */
static bool both(bool (*tell)(uint8_t board)) {
    bool first = tell(0), second = tell(1);
    return first && second;
}

static bool off(uint8_t board) { return set(board, ALL_OFF_H, FULL_OFF); }

bool pca9685_off(void) { return both(off); }

static bool start(uint8_t board) {
    return off(board) && set(board, MODE1, MODE1_SLEEP) && /* the divider only takes asleep */
           set(board, PRESCALE, DIVIDER - 1) && set(board, MODE1, MODE1_INCREMENT);
}

bool pca9685_start(void) {
    hal_bus_free();
    return both(start);
}

/* One that lost its power for a moment woke up asleep: it answers, and gives no pulses. */
static bool awake(uint8_t board) {
    uint8_t mode;
    return hal_bus_read(FIRST + board, MODE1, &mode) && (mode & (MODE1_SLEEP | MODE1_INCREMENT)) == MODE1_INCREMENT;
}

bool pca9685_awake(void) { return both(awake); }

/* The nearest count whose pulse is still within the channel's limits. */
static uint16_t counts(uint8_t channel) {
    const struct limits *l = motion_limits(channel);
    uint16_t n = (uint16_t)((motion_pulse(channel) * COUNTS_PER_QUARTER + (1UL << 19)) >> 20);
    if ((uint32_t)n * COUNT_CENTI > (uint32_t)l->high * 100) return n - 1;
    if ((uint32_t)n * COUNT_CENTI < (uint32_t)l->low * 100) return n + 1;
    return n;
}

static uint8_t *put_output(uint8_t *at, uint8_t channel) {
    uint16_t on = (channel % OUTPUTS) * STAGGER;
    uint16_t fall = motion_pulse(channel) ? on + counts(channel) : FULL_OFF << 8;
    *at++ = (uint8_t)on;
    *at++ = (uint8_t)(on >> 8);
    *at++ = (uint8_t)fall;
    *at++ = (uint8_t)(fall >> 8);
    return at;
}

static bool write(uint8_t board) {
    uint8_t bytes[1 + 4 * OUTPUTS], *at = bytes;
    *at++ = LED0_ON_L;
    for (uint8_t c = board * OUTPUTS; c < CHANNELS && c < (board + 1) * OUTPUTS; c++) at = put_output(at, c);
    return hal_bus_write(FIRST + board, bytes, (uint8_t)(at - bytes));
}

/* Not `both`: a first board that does not answer takes no time, and the second would move too soon. All go limp then. */
bool pca9685_write(void) { return write(0) && write(1); }
