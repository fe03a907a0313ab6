#include "cobs.h"

uint8_t cobs_decode(uint8_t *bytes, uint8_t count) {
    uint8_t from = 0, to = 0;
    while (from < count) {
        uint8_t code = bytes[from++];
        if (code == 0 || code - 1 > count - from) return 0;
        for (uint8_t i = 1; i < code; i++) {
            if (bytes[from] == 0) return 0;
            bytes[to++] = bytes[from++];
        }
        if (from < count && code < 0xFF) bytes[to++] = 0;
    }
    return to;
}

uint8_t cobs_encode(const uint8_t *bytes, uint8_t count, uint8_t *out) {
    uint8_t mark = 0, to = 1;
    for (uint8_t i = 0; i < count; i++) {
        if (bytes[i]) {
            out[to++] = bytes[i];
        } else {
            out[mark] = to - mark;
            mark = to++;
        }
    }
    out[mark] = to - mark;
    return to;
}
