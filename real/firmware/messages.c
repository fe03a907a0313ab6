#include "messages.h"

#include <string.h>

#include "board.h"
#include "bytes.h"
#include "frames.h"
#include "hal.h"
#include "loop.h"
#include "motion.h"
#include "pca9685.h"
#include "store.h"

static uint32_t session, last; /* session 0: none was opened since the reset */
static uint16_t stale;

void messages_start(void) { session = last = stale = 0; }

/* Handles the part of a message that follows the session number. */
typedef enum answer (*action)(const uint8_t *rest);

static void answer_status(uint32_t sequence, enum answer answer) {
    uint8_t payload[PAYLOAD_MAX], *at = payload;
    at = put8(put8(at, answer), board_state());
    at = put32(put32(put16(at, board_faults()), board_armed()), session);
    at = put32(put16(at, board_millivolts()), hal_millis());
    at = put16(put16(put16(put16(at, loop_worst()), frames_bad()), stale), pca9685_repeats());
    for (uint8_t c = 0; c < CHANNELS; c++) at = put16(at, motion_pulse(c));
    frames_send(STATUS, sequence, payload, (uint8_t)(at - payload));
}

/* `before`: state until then, so that a host learns that it took the board over from another one. */
static void answer_ident(uint32_t sequence, enum state before) {
    uint8_t payload[PAYLOAD_MAX], *at = payload;
    at = put8(put8(put8(at, PROTOCOL_VERSION), FIRMWARE_MAJOR), FIRMWARE_MINOR);
    memcpy(at, store_id(), ID_SIZE);
    at = put8(put32(at + ID_SIZE, session), CHANNELS);
    at = put8(put32(put32(at, TABLE_CRC), store_kept()), hal_reset_cause());
    at = put32(put8(at, before), BUILD);
    memcpy(at, hal_chip, CHIP_SIZE);
    at += CHIP_SIZE;
    frames_send(IDENT, sequence, payload, (uint8_t)(at - payload));
}

static void answer_channel(uint32_t sequence, uint8_t channel) {
    uint8_t payload[PAYLOAD_MAX], *at = payload;
    const struct limits *l = motion_limits(channel);
    at = put16(put16(put16(put8(at, channel), l->low), l->high), l->rest);
    at = put8(put16(at, l->slew), table_row(channel).partner);
    frames_send(CHANNEL, sequence, payload, (uint8_t)(at - payload));
}

/* A host of another protocol version gets the answer, but no session. */
static void hello(uint32_t sequence, uint8_t version) {
    enum state before = board_state();
    if (version == PROTOCOL_VERSION) {
        board_limp();
        store_restore();
        session = store_next_session();
        last = 0;
    }
    answer_ident(sequence, before);
}

static enum answer targets(const uint8_t *rest) { return board_aim(rest); }

static enum answer arm(const uint8_t *rest) { return board_arm(get32(rest)); }

static enum answer clear(const uint8_t *rest) { return get32(rest) == CLEAR_KEY ? board_clear() : BAD_VALUE; }

static enum answer limits(const uint8_t *rest) {
    const struct limits given = {get16(rest + 1), get16(rest + 3), get16(rest + 5), get16(rest + 7)};
    if (board_state() != LIMP) return WRONG_STATE;
    if (rest[0] >= CHANNELS || !limits_allowed(rest[0], &given)) return BAD_VALUE;
    *motion_limits(rest[0]) = given;
    store_changed();
    return TAKEN;
}

static enum answer commit(const uint8_t *rest) {
    if (board_state() != LIMP) return WRONG_STATE;
    if (get32(rest) == 0) return BAD_VALUE;
    for (uint8_t c = 0; c < CHANNELS; c++)
        if (!limits_allowed(c, motion_limits(c))) return NOT_CALIBRATED;
    store_keep(get32(rest));
    return TAKEN;
}

/* Numbers only grow, and never wrap within a session. One is used up whatever the answer, so that no copy works later. */
static bool fresh(uint32_t sequence) {
    if (sequence <= last) return false;
    last = sequence;
    return true;
}

static enum answer guarded(action act, uint32_t sequence, const uint8_t *payload) {
    if (session == 0 || get32(payload) != session) return WRONG_SESSION;
    if (fresh(sequence)) return act(payload + 4);
    if (stale < UINT16_MAX) stale++;
    return STALE;
}

/* Messages that begin with a session number, from TARGETS on. */
static const struct { action act; uint8_t length; } GUARDED[] = {
    [TARGETS] = {targets, 4 + 2 * CHANNELS}, [ARM] = {arm, 8},       [CLEAR] = {clear, 8},
    [LIMITS] = {limits, 13},                 [COMMIT] = {commit, 8},
};

/* Whoever wants the face limp is heard: DISARM and STOP need no session. */
static bool simple(uint8_t type, uint32_t sequence, const uint8_t *payload, uint8_t length) {
    if (type == HELLO && length == 1) {
        hello(sequence, payload[0]);
    } else if (type == READ && length == 1 && payload[0] < CHANNELS) {
        answer_channel(sequence, payload[0]);
    } else if (type == READ && length == 1) {
        answer_status(sequence, BAD_VALUE);
    } else if ((type == DISARM || type == STOP || type == QUERY) && length == 0) {
        if (type == DISARM) board_limp();
        if (type == STOP) board_stop();
        answer_status(sequence, TAKEN);
    } else {
        return false;
    }
    return true;
}

bool handle_message(uint8_t type, uint32_t sequence, const uint8_t *payload, uint8_t length) {
    if (type > COMMIT || !GUARDED[type].act) return simple(type, sequence, payload, length);
    if (length != GUARDED[type].length) return false;
    answer_status(sequence, guarded(GUARDED[type].act, sequence, payload));
    return true;
}
