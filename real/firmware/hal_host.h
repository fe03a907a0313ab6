/* The computer as a microcontroller: what tests may set, and what came out. */
#ifndef HAL_HOST_H
#define HAL_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Everything as after a reset for this cause (bits as in MCUSR), but for EEPROM. */
void host_reset(uint8_t cause);
void host_erase(void);

/* Bytes arrive; a millisecond passes. */
void host_feed(const uint8_t *bytes, size_t count);
void host_tick(void);

void host_set_supply(uint16_t millivolts);
/* Whether each PCA9685 answers, one bit a board. */
void host_set_boards(uint8_t answering);
/* A PCA9685 without power for a moment. */
void host_cut_board(uint8_t board);
/* A byte of EEPROM becomes another one. */
void host_spoil(uint16_t address);
/* Flips one of the bits that pass on the bus from now on. */
void host_flip(int bits);
/* Whether ADC and EEPROM work: 1 and 2. */
void host_set_parts(uint8_t working);

/* Bytes sent since the last call. */
size_t host_sent(uint8_t *bytes, size_t most);
bool host_outputs(void);
/* Counts of a PCA9685's output, 0 while it is fully off. */
uint16_t host_counts(uint8_t channel);
/* How often the watchdog was fed. */
uint32_t host_fed(void);

#endif
