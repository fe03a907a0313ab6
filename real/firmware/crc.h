/* CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, not reflected. */
#ifndef CRC_H
#define CRC_H

#include <stdint.h>

#define CRC_START 0xFFFF

uint16_t crc16(uint16_t crc, const uint8_t *bytes, uint16_t count);

#endif
