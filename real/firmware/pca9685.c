#include "pca9685.h"

#include <string.h>

#include "hal.h"
#include "motion.h"
#include "table.h"

#define FIRST 0x40
#define BOARDS 2
#define OUTPUTS 16

#define MODE1 0x00
#define MODE1_SLEEP 0x10
#define MODE1_INCREMENT 0x20
#define MODE2 0x01
#define MODE2_USUAL 0x04 /* not inverted, driven both ways; outputs change at the stop of a transfer */
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

/* How often pulses are written before the bus counts as broken. */
#define TRIES 2

static uint16_t repeats;
static uint8_t tries; /* left for the pulses under way; 0: there are none */
static bool written;  /* whether they wait to be read back */
static bool checked;  /* whether they wait for their moment */

uint16_t pca9685_repeats(void) { return repeats; }

static bool set(uint8_t board, uint8_t where, uint8_t value) {
    const uint8_t bytes[2] = {where, value};
    bool taken = hal_bus_write(FIRST + board, bytes, 2);
    return hal_bus_end() && taken;
}

static bool get(uint8_t board, uint8_t where, uint8_t *bytes, uint8_t count) {
    bool answered = hal_bus_read(FIRST + board, where, bytes, count);
    return hal_bus_end() && answered;
}

static bool holds(uint8_t board, uint8_t where, uint8_t value) {
    uint8_t found;
    return get(board, where, &found, 1) && found == value;
}

/* The second one is switched even if the first does not answer. */
static bool both(bool (*tell)(uint8_t board)) {
    bool first = tell(0), second = tell(1);
    return first && second;
}

static bool off(uint8_t board) { return set(board, ALL_OFF_H, FULL_OFF); }

bool pca9685_off(void) {
    tries = 0;
    return both(off);
}

static bool start(uint8_t board) {
    return off(board) && set(board, MODE1, MODE1_SLEEP) && /* the divider only takes asleep */
           set(board, PRESCALE, DIVIDER - 1) && holds(board, PRESCALE, DIVIDER - 1) &&
           set(board, MODE2, MODE2_USUAL) && set(board, MODE1, MODE1_INCREMENT);
}

bool pca9685_start(void) {
    tries = 0;
    hal_bus_free();
    return both(start);
}

/* One that lost its power for a moment woke up asleep: it answers, and gives no pulses. */
static bool usual(const uint8_t *registers) {
    return (registers[MODE1] & (MODE1_SLEEP | MODE1_INCREMENT)) == MODE1_INCREMENT && registers[MODE2] == MODE2_USUAL;
}

static bool awake(uint8_t board) {
    uint8_t modes[2];
    return get(board, MODE1, modes, sizeof modes) && usual(modes);
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

static uint8_t pulses[BOARDS][1 + 4 * OUTPUTS]; /* number of the first register, then what they must hold */
static uint8_t sizes[BOARDS];

static void collect(uint8_t board) {
    uint8_t *at = pulses[board];
    *at++ = LED0_ON_L;
    for (uint8_t c = board * OUTPUTS; c < CHANNELS && c < (board + 1) * OUTPUTS; c++) at = put_output(at, c);
    sizes[board] = (uint8_t)(at - pulses[board]);
}

static bool write(uint8_t board) { return hal_bus_write(FIRST + board, pulses[board], sizes[board]); }

/* Both modes and all pulses, as the board holds them. */
static bool right(uint8_t board) {
    uint8_t found[LED0_ON_L + 4 * OUTPUTS], size = sizes[board] - 1;
    return hal_bus_read(FIRST + board, MODE1, found, LED0_ON_L + size) && usual(found) &&
           !memcmp(found + LED0_ON_L, pulses[board] + 1, size);
}

void pca9685_begin(void) {
    for (uint8_t b = 0; b < BOARDS; b++) collect(b);
    tries = TRIES;
    written = checked = false;
}

bool pca9685_waits(void) { return tries; }

/* Noise on the wires shows in `repeats` before it does harm. If all tries fail, /OE goes up before the stop. */
static enum writing again(void) {
    written = false;
    if (repeats < UINT16_MAX) repeats++;
    if (--tries) return WRITING;
    hal_outputs(false);
    hal_bus_end();
    return FAILED;
}

/* I2C has no checksum, and servo leads run beside it. So pulses are written, read back, and only then put out, by the
 * one stop at the end. */
enum writing pca9685_step(void) {
    if (!tries) return NOTHING;
    if (checked) return READY;
    if (!written) {
        written = write(0) && write(1);
        return written ? WRITING : again();
    }
    checked = right(0) && right(1);
    return checked ? READY : again();
}

bool pca9685_show(void) {
    tries = 0;
    return hal_bus_end();
}
