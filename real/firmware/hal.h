/* All that the firmware needs of a microcontroller. hal_avr.c is the ATmega2560, hal_rp2040.c the RP2040,
 * hal_host.c a computer, for tests. */
#ifndef HAL_H
#define HAL_H

#include <stdbool.h>
#include <stdint.h>

/* Outputs off, clock, serial port, bus, ADC and watchdog running. */
void hal_start(void);
/* Why the last reset happened, bits as in MCUSR: 1 power, 2 external, 4 brown-out, 8 watchdog. */
uint8_t hal_reset_cause(void);

/* Name of the microcontroller, filled up with zeros to CHIP_SIZE of protocol.h. */
extern const char hal_chip[16];

uint32_t hal_millis(void);
/* Microseconds, for short spans only: it wraps after 32.768 ms. */
uint16_t hal_micros(void);
#define HAL_MICROS_MASK 0x7FFF

/* Next byte received, or -1. */
int16_t hal_receive(void);
/* Room left for bytes to send; hal_send never waits. */
uint8_t hal_room(void);
void hal_send(uint8_t byte);

/* Writes to an I2C device; false if it does not answer or the bus is stuck, at most a few milliseconds later. The
 * bus stays claimed until hal_bus_end, so that what was written can be read before it acts. */
bool hal_bus_write(uint8_t address, const uint8_t *bytes, uint8_t count);
/* Reads registers of an I2C device from `where` on; as above. */
bool hal_bus_read(uint8_t address, uint8_t where, uint8_t *bytes, uint8_t count);
/* The stop: PCA9685 put out what was written since the last one. */
bool hal_bus_end(void);
/* Frees a bus that a device holds because it was cut off in the middle of a byte. Only between transfers. */
void hal_bus_free(void);
/* Drives /OE of both PCA9685: low if enabled. */
void hal_outputs(bool enabled);

/* Servo supply, if there is a new measurement since the last call. */
bool hal_supply(uint16_t *millivolts);
/* A few random bits from the ADC's noise and the timer. Only before the first hal_supply. */
uint8_t hal_noise(void);

/* Bytes that outlive a reset; those that were never written are 0xFF. No more than this many are used. */
#define HAL_EEPROM_SIZE 256
bool hal_eeprom_ready(void);
uint8_t hal_eeprom_read(uint16_t address);
void hal_eeprom_write(uint16_t address, uint8_t value);

void hal_feed_watchdog(void);
/* Until a frame has ended or a millisecond has begun since the last call. */
void hal_sleep(void);

#endif
