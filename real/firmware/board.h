/* The state machine: what may move, and when the board acts by itself. */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"
#include "table.h"

#define ALL_CHANNELS ((1UL << CHANNELS) - 1)

void board_start(void);
/* Silence; each loop. */
void board_watch(void);
/* Arming and pulses; every PERIOD_MS. */
void board_move(void);
/* One step of putting pulses out; each loop. */
void board_write(void);
/* A new measurement of the servo supply. */
void board_supply(uint16_t millivolts);

/* What messages ask for. */
void board_limp(void);
void board_stop(void);
enum answer board_arm(uint32_t channels);
enum answer board_aim(const uint8_t *pulses);
enum answer board_clear(void);

enum state board_state(void);
uint16_t board_faults(void);
uint32_t board_armed(void);
uint16_t board_millivolts(void);

#endif
