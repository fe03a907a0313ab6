/* libFuzzer over the whole core. Most inputs become well-formed frames of any type, so that more than the CRC is
 * tried; the rest are raw bytes. After each the board runs on, and what must always hold is checked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "bytes.h"
#include "cobs.h"
#include "crc.h"
#include "hal_host.h"
#include "loop.h"
#include "motion.h"

#define MUST(what) ((what) ? (void)0 : (fprintf(stderr, "broken: %s\n", #what), abort()))

static uint32_t session, sequence;
static uint16_t before[CHANNELS];

static void feed_frame(uint8_t type, const uint8_t *payload, uint8_t length) {
    uint8_t frame[FRAME_MAX], line[FRAME_MAX + 2];
    put32(put8(frame, type), sequence);
    uint8_t *at = frame + (type == HELLO || type == IDENT ? FRAME_HEAD_OLD : FRAME_HEAD);
    memcpy(at, payload, length);
    at += length;
    at = put16(at, crc16(CRC_START, frame, (uint16_t)(at - frame)));
    uint8_t count = cobs_encode(frame, (uint8_t)(at - frame), line);
    line[count++] = 0;
    host_feed(line, count);
}

static double share(uint8_t channel) {
    const struct limits *l = motion_limits(channel);
    int up = l->high - l->rest, down = l->rest - l->low, pulse = motion_pulse(channel);
    int pull = up >= down ? pulse - l->rest : l->rest - pulse;
    return pulse && pull > 0 ? (double)pull / (up >= down ? up : down) : 0;
}

static void check_pairs(void) {
    for (uint8_t c = 0; c < CHANNELS; c++) {
        struct row row = table_row(c);
        MUST(row.partner == NO_PARTNER || share(c) + share(row.partner) <= row.limit / 64.0);
    }
}

/* What must hold whatever was said. Slew by steps of the loop's millisecond: at most one move in each. */
static void check(void) {
    MUST(!host_outputs() || board_armed());
    MUST(!board_armed() || board_state() == ARMING || board_state() == ACTIVE || board_state() == HOLD);
    MUST(board_state() <= FAULT);
    if (board_armed()) check_pairs();
    for (uint8_t c = 0; c < CHANNELS; c++) {
        const struct limits *l = motion_limits(c);
        uint16_t pulse = motion_pulse(c);
        if (pulse == before[c]) continue;
        struct limits widest = table_row(c).limits;
        MUST(!pulse || (board_armed() >> c & 1));
        MUST(!pulse || (l->low <= pulse && pulse <= l->high));
        MUST(!pulse || (widest.low <= pulse && pulse <= widest.high));
        MUST(!pulse || before[c] || pulse == l->rest);
        MUST(!pulse || !before[c] || abs(pulse - before[c]) <= widest.slew);
        before[c] = pulse;
    }
}

static void run(uint16_t milliseconds) {
    while (milliseconds--) {
        host_tick();
        loop_once();
        check();
    }
}

/* The session number that IDENT tells; 0 if none came. */
static void read_session(void) {
    uint8_t sent[4096], *from = sent;
    size_t count = host_sent(sent, sizeof sent);
    for (size_t i = 0; i < count; i++) {
        if (sent[i]) continue;
        uint8_t length = cobs_decode(from, (uint8_t)(sent + i - from));
        if (length > FRAME_HEAD_OLD + 15 && from[0] == IDENT) session = get32(from + FRAME_HEAD_OLD + 11);
        from = sent + i + 1;
    }
}

static void calibrate(void) {
    uint8_t payload[13];
    run(100); /* until EEPROM keeps a block of session numbers */
    feed_frame(HELLO, &(uint8_t){PROTOCOL_VERSION}, 1);
    run(1);
    read_session();
    MUST(session);
    put32(payload, session);
    for (uint8_t c = 0; c < CHANNELS; c++) {
        struct limits l = table_row(c).limits;
        put16(put16(put16(put16(put8(payload + 4, c), l.low), l.high), l.rest), l.slew);
        sequence++;
        feed_frame(LIMITS, payload, 13);
        run(1);
    }
    sequence++;
    put32(payload + 4, 1);
    feed_frame(COMMIT, payload, 8);
    run(1);
}

static void start(void) {
    session = sequence = 0;
    memset(before, 0, sizeof before);
    host_erase();
    host_reset(1);
    loop_start();
    calibrate();
}

/* Mostly about a period, now and then one that leads to hold or to limp. */
static uint16_t pause(uint8_t byte) { return byte < 250 ? byte % 25 : byte < 253 ? HOLD_MS + 10 : LIMP_MS + 10; }

/* A piece of input: what to do, how long to wait, how many bytes belong to it. */
static size_t piece(const uint8_t *data, size_t size) {
    uint8_t what = data[0] & 15, length = data[2] % (PAYLOAD_MAX + 1), payload[PAYLOAD_MAX] = {0};
    if (length > size - 3) length = (uint8_t)(size - 3);
    memcpy(payload, data + 3, length);
    if (what == 0) host_feed(data + 3, length);
    else if (what == 11) host_set_supply((uint16_t)(length * 100));
    else if (what == 12) host_set_boards(length & 3);
    else if (what == 13) host_cut_board(length & 1);
    else {
        sequence++;
        if (what <= COMMIT && length >= 4 && !(data[0] & 0x80)) put32(payload, session);
        feed_frame(what, payload, length);
    }
    run(pause(data[1]));
    return 3u + length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    start();
    while (size > 3) {
        size_t used = piece(data, size);
        data += used;
        size -= used;
        read_session();
    }
    return 0;
}
