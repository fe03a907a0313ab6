/* Bytes to messages and back. */
#ifndef FRAMES_H
#define FRAMES_H

#include <stdint.h>

void frames_start(void);

/* Takes a byte from the line; calls `handle_message` (messages.c) for every frame that is whole. */
void frames_take(uint8_t byte);

/* Sends a message; drops it if the line is that far behind, since waiting would hold up the servos. */
void frames_send(uint8_t type, uint32_t sequence, const uint8_t *payload, uint8_t length);

/* Frames that were too long, did not decode, failed the CRC, or had the wrong length; stays at 65535. */
uint16_t frames_bad(void);

#endif
