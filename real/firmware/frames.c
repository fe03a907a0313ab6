#include "frames.h"

#include <string.h>

#include "bytes.h"
#include "cobs.h"
#include "crc.h"
#include "hal.h"
#include "messages.h"
#include "protocol.h"

#define ENCODED_MAX (FRAME_MAX + 1)

static uint8_t received[ENCODED_MAX];
static uint8_t count;     /* bytes in it; beyond ENCODED_MAX: too long, wait for the next zero */
static uint16_t bad;

void frames_start(void) {
    count = 0;
    bad = 0;
}

uint16_t frames_bad(void) { return bad; }

static void refuse(void) {
    if (bad < UINT16_MAX) bad++;
}

static uint8_t head_of(uint8_t type) { return type == HELLO || type == IDENT ? FRAME_HEAD_OLD : FRAME_HEAD; }

static uint32_t sequence_of(const uint8_t *frame) {
    return head_of(frame[0]) == FRAME_HEAD ? get32(frame + 1) : get16(frame + 1);
}

/* Length of a whole and right frame in `received`, or 0. */
static uint8_t decode(void) {
    if (count > ENCODED_MAX) return 0;
    uint8_t length = cobs_decode(received, count);
    if (length < FRAME_HEAD_OLD + FRAME_CRC || length < head_of(received[0]) + FRAME_CRC) return 0;
    uint16_t crc = crc16(CRC_START, received, length - FRAME_CRC);
    return crc == get16(received + length - FRAME_CRC) ? length : 0;
}

static void end(void) {
    uint8_t length = decode();
    uint8_t head = head_of(received[0]);
    if (!length || !handle_message(received[0], sequence_of(received), received + head, length - head - FRAME_CRC))
        refuse();
}

void frames_take(uint8_t byte) {
    if (byte == 0) {
        if (count) end(); /* zeros in a row are no frames, and no mistake */
        count = 0;
    } else if (count < ENCODED_MAX) {
        received[count++] = byte;
    } else {
        count = ENCODED_MAX + 1;
    }
}

void frames_send(uint8_t type, uint32_t sequence, const uint8_t *payload, uint8_t length) {
    uint8_t frame[FRAME_MAX], line[ENCODED_MAX];
    put32(put8(frame, type), sequence);
    uint8_t *end = frame + head_of(type); /* of a short head the lower half of the number */
    memcpy(end, payload, length);
    end += length;
    end = put16(end, crc16(CRC_START, frame, (uint16_t)(end - frame)));
    uint8_t size = cobs_encode(frame, (uint8_t)(end - frame), line);
    if (hal_room() <= size) return;
    for (uint8_t i = 0; i < size; i++) hal_send(line[i]);
    hal_send(0);
}
