/* The ATmega2560 of simavr with everything around it, and our own UART and TWI (see README.md for why). */
#ifndef CHIP_H
#define CHIP_H

#include <simavr/sim_avr.h>

#include "line.h"
#include "pca9685.h"

#define HERTZ 16000000
#define CHANNELS 25

struct event {
    uint64_t cycle;
    uint8_t channel;
    double width; /* us; NaN: limp */
};

struct chip {
    avr_t *avr;
    struct line in, out;          /* of the UART */
    struct pca9685 board[2];
    bool stuck;                   /* SDA held low for good: no transfer ends */
    int64_t flip;                 /* bits that pass on the bus until one is flipped; -1: none is */
    uint8_t held;                 /* clocks for which a board that was cut off will hold SDA */
    double width[CHANNELS];       /* of the pulses that servos see */
    struct event *events;
    size_t event_count, event_room;
    uint64_t asleep, noise;
    bool was_reset, crashed;
};

extern struct chip chip;

void chip_start(const char *elf, uint64_t seed);
void chip_run(uint64_t until);
void chip_supply(uint32_t millivolts);
void chip_hang(void);
void chip_power_cycle(void);
void chip_cut(int board); /* from its power, for a moment */
void chip_baud(double baud); /* of the host */
void chip_unplug(void);
void chip_load_eeprom(const char *file);
bool chip_save_eeprom(const char *file);

/* Looks which pulses changed. */
void chip_outputs(void);

/* Puts a callback in place of simavr's own for writing or reading a register. */
void chip_on_write(avr_io_addr_t address, avr_io_write_t callback);
void chip_on_read(avr_io_addr_t address, avr_io_read_t callback);
/* The same for one that goes on to what simavr does, which is kept in `before`. */
struct write { avr_io_write_t call; void *param; };
void chip_tap(avr_io_addr_t address, avr_io_write_t callback, struct write *before);
/* The module of simavr of this kind, e.g. "uart", by the address of one of its registers. */
void *chip_module(const char *kind, bool (*is_it)(void *module));

/* uart.c and twi.c */
void uart_start(void);
void uart_reset(void);
void uart_listen(void); /* to what was put on the line since */
double uart_bit(void);
void twi_start(void);
void twi_reset(void);

#endif
