#include "crc.h"

/* Two XORs and shifts do what eight steps of the polynomial do: x^16 = x^12 + x^5 + 1 folds the byte at once. */
static uint16_t fold(uint16_t crc, uint8_t byte) {
    uint8_t x = (uint8_t)(crc >> 8) ^ byte;
    x ^= x >> 4;
    return (uint16_t)(crc << 8) ^ (uint16_t)((uint16_t)x << 12) ^ (uint16_t)((uint16_t)x << 5) ^ x;
}

uint16_t crc16(uint16_t crc, const uint8_t *bytes, uint16_t count) {
    while (count--) crc = fold(crc, *bytes++);
    return crc;
}
