/* What outlives a reset: the robot's id, the session number, the calibration. Written in the background, byte by byte. */
#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stdint.h>

#define ID_SIZE 8

/* Reads EEPROM; makes an id if there is none. */
void store_start(void);
/* Writes the next byte that differs, if the EEPROM is ready. */
void store_step(void);

const uint8_t *store_id(void);
/* A session number that never comes again; 0 while EEPROM does not keep yet that it is used. */
uint32_t store_next_session(void);

/* Number of the calibration in force; 0: none, or limits were changed and not kept since. */
uint32_t store_calibration(void);
/* The same number if EEPROM holds every byte of that calibration now; 0 while it is written, or if a byte does not take. */
uint32_t store_kept(void);
/* Puts the calibration last kept in force again, if there is one. */
void store_restore(void);
/* Says that limits were changed. */
void store_changed(void);
/* Keeps the limits in force, under this number. */
void store_keep(uint32_t calibration);

#endif
