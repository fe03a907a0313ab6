#include "board.h"

#include "bytes.h"
#include "hal.h"
#include "motion.h"
#include "pca9685.h"
#include "store.h"

/* When pulses come out in their period: by then they are written and read back, even if twice, so that noise shifts no move. */
#define WRITE_MS 11

static enum state state;
static uint8_t latched, passing; /* faults: until CLEAR, and until they pass */
static uint32_t wanted, armed;   /* channels of the last ARM; those that were started */
static uint8_t group;            /* next to arm */
static uint32_t group_at, life_at, supply_at, moved_at, shown_at;
static uint16_t supply;
static uint32_t strain; /* time with a supply outside its limits, see board_supply */
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
    strain = 0;
    supply_at = hal_millis();
    go_limp(LIMP);
    if (!pca9685_start()) fail(FAULT_BUS);
}

void board_limp(void) { go_limp(state == STOPPED || state == FAULT ? state : LIMP); }

void board_stop(void) { go_limp(STOPPED); }

static bool supplied(void) { return SUPPLY_LOW_MV <= supply && supply <= SUPPLY_HIGH_MV; }

enum answer board_arm(uint32_t channels) {
    if (state != LIMP) return WRONG_STATE;
    if (channels == 0 || channels & ~ALL_CHANNELS) return BAD_VALUE;
    if (!store_calibration()) return NOT_CALIBRATED;
    if (!supplied()) return BAD_SUPPLY;
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
    if (latched & (FAULT_SUPPLY | FAULT_OVERVOLTAGE) && !supplied()) return WRONG_STATE;
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

static void need_bus(bool well) {
    if (!well && !(latched & FAULT_BUS)) fail(FAULT_BUS);
}

void board_move(void) {
    if (armed && pca9685_waits()) return; /* the loop is late; two steps that come out at once are twice the slew */
    moved_at = hal_millis();
    motion_step();
    if (state == ARMING && (off || armed) && (int32_t)(hal_millis() - group_at) >= 0) arm_next_group();
    if (armed) {
        off = false;
        pca9685_begin();
    } else { /* pulses start only after the PCA9685 were off, so that none begins with what stood there before */
        off = pca9685_off();
        need_bus(off && pca9685_awake());
    }
}

void board_write(void) {
    enum writing now = pca9685_step();
    if (now == FAILED) need_bus(false);
    if (now != READY || hal_millis() - moved_at < WRITE_MS || hal_millis() - shown_at < PERIOD_MS - 1) return;
    shown_at = hal_millis(); /* one that came late does not bring the next one nearer */
    need_bus(pca9685_show());
    hal_outputs(armed != 0);
}

/* A leaky sum, so that short dips count together: a millisecond outside the limits is made up for by SUPPLY_RECOVERY
 * of them within. The time since the last measurement counts as what is measured now. */
void board_supply(uint16_t millivolts) {
    uint32_t passed = hal_millis() - supply_at;
    supply = millivolts;
    supply_at += passed;
    if (supplied()) {
        strain -= passed < strain ? passed : strain;
        return;
    }
    const uint32_t most = (uint32_t)SUPPLY_SAG_MS * SUPPLY_RECOVERY;
    strain += passed * SUPPLY_RECOVERY;
    if (strain < most) return;
    strain = most;
    enum fault fault = millivolts < SUPPLY_LOW_MV ? FAULT_SUPPLY : FAULT_OVERVOLTAGE;
    if (!(latched & fault)) fail(fault);
}
