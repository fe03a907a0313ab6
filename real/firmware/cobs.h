/* Consistent overhead byte stuffing: bytes without a zero, so that a zero can end a frame. */
#ifndef COBS_H
#define COBS_H

#include <stdint.h>

/* Decodes in place, `count` bytes without the ending zero. Returns how many came out; 0 if this is no COBS. */
uint8_t cobs_decode(uint8_t *bytes, uint8_t count);

/* Encodes up to 254 bytes to `out`, which takes one more, and returns how many. No ending zero. */
uint8_t cobs_encode(const uint8_t *bytes, uint8_t count, uint8_t *out);

#endif
