#include "board.h"

#include "bytes.h"
#include "hal.h"
#include "motion.h"
#include "pca9685.h"
#include "store.h"

static enum state state;
static uint8_t latched, passing; /* faults: until CLEAR, and until they pass */
static uint32_t wanted, armed;   /* channels of the last ARM; those that were started */
static uint8_t group;            /* next to arm */
static uint32_t group_at, life_at, supply_at;
static uint16_t supply;
static bool off; /* whether the PCA9685 were switched off since the last pulse */

enum state board_state(void) { return state; }
uint32_t board_armed(void) { return armed; }
uint16_t board_millivolts(void) { return supply; }

uint16_t board_faults(void) {
    return latched | passing | (store_calibration() ? 0 : FAULT_UNCALIBRATED) |
           (hal_reset_cause() & 8 ? FAULT_WATCHDOG : 0);
}

static bool moving(void) { return state == ARMING || state == ACTIVE || state == HOLD; }

/* /OE first, which acts at once; the PCA9685 follow with the next period. */
static void go_limp(enum state to) {
    hal_outputs(false);
    for (uint8_t c = 0; c < CHANNELS; c++) motion_limp(c);
    armed = wanted = 0;
    off = false;
    state = to;
}

static void fail(enum fault fault) {
    latched |= fault;
    go_limp(state == STOPPED ? STOPPED : FAULT);
}

void board_start(void) {
    latched = passing = 0;
    supply = 0;
    supply_at = hal_millis();
    go_limp(LIMP);
    if (!pca9685_start()) fail(FAULT_BUS);
}

void board_limp(void) { go_limp(state == STOPPED || state == FAULT ? state : LIMP); }

void board_stop(void) { go_limp(STOPPED); }

enum answer board_arm(uint32_t channels) {
    if (state != LIMP) return WRONG_STATE;
    if (channels == 0 || channels & ~ALL_CHANNELS) return BAD_VALUE;
    if (!store_calibration()) return NOT_CALIBRATED;
    wanted = channels;
    group = 0;
    group_at = life_at = hal_millis();
    passing = 0;
    state = ARMING;
    return TAKEN;
}

static void disarm(uint8_t channel) {
    armed &= ~(1UL << channel);
    motion_limp(channel);
    if (!armed) hal_outputs(false); /* one alone has to wait for the next period */
}

/* A limp target takes a channel out until the next ARM: it must not jump back by itself. */
static bool aim(uint8_t channel, uint16_t pulse) {
    if (pulse) return motion_aim(channel, pulse);
    disarm(channel);
    return false;
}

enum answer board_aim(const uint8_t *pulses) {
    if (!moving()) return WRONG_STATE;
    bool clamped = false;
    for (uint8_t c = 0; c < CHANNELS; c++)
        if (armed >> c & 1) clamped |= aim(c, get16(pulses + 2 * c));
    if (!armed && group == ARM_GROUPS) go_limp(LIMP); /* the host let go of all of them */
    clamped |= motion_exclude();
    passing = (passing & ~FAULT_CLAMPED) | (clamped ? FAULT_CLAMPED : 0);
    life_at = hal_millis();
    if (state == HOLD) state = group < ARM_GROUPS ? ARMING : ACTIVE;
    return TAKEN;
}

enum answer board_clear(void) {
    if (moving()) return WRONG_STATE;
    if (latched & FAULT_SUPPLY && supply < SUPPLY_LOW_MV) return WRONG_STATE;
    if (latched & FAULT_BUS && !pca9685_start()) return WRONG_STATE;
    latched = 0;
    go_limp(LIMP);
    return TAKEN;
}

void board_watch(void) {
    if (!moving()) return;
    uint32_t silence = hal_millis() - life_at;
    if (silence >= HOLD_MS) passing |= FAULT_SILENCE;
    if (silence >= LIMP_MS) {
        go_limp(LIMP);
    } else if (silence >= HOLD_MS && state != HOLD) {
        motion_hold();
        state = HOLD;
    }
}

static void arm_next_group(void) {
    for (uint8_t c = 0; c < CHANNELS; c++) {
        if (!(wanted >> c & 1) || table_row(c).group != group) continue;
        motion_start(c);
        armed |= 1UL << c;
    }
    group_at = hal_millis() + ARM_GAP_MS;
    if (++group == ARM_GROUPS) state = ACTIVE;
}

/* Pulses start only after the PCA9685 were off, so that none begins with what stood there before. */
static bool write_pulses(void) {
    if (!armed) return off = pca9685_off();
    off = false;
    return pca9685_write();
}

static void need_bus(bool well) {
    if (!well && !(latched & FAULT_BUS)) fail(FAULT_BUS);
}

void board_move(void) {
    motion_step();
    if (state == ARMING && (off || armed) && (int32_t)(hal_millis() - group_at) >= 0) arm_next_group();
    need_bus(write_pulses());
    hal_outputs(armed != 0);
    need_bus(pca9685_awake()); /* last, so that pulses keep their time */
}

void board_supply(uint16_t millivolts) {
    supply = millivolts;
    if (millivolts >= SUPPLY_LOW_MV) supply_at = hal_millis();
    else if (hal_millis() - supply_at >= SUPPLY_SAG_MS && !(latched & FAULT_SUPPLY)) fail(FAULT_SUPPLY);
}
