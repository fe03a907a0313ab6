/* The two-wire bus, master only, with the times that its bits really take and two PCA9685 at the other end. */
#include <simavr/avr_twi.h>

#include "chip.h"

#define TWBR 0xB8
#define TWSR 0xB9
#define TWDR 0xBB
#define TWCR 0xBC

#define TWINT 0x80
#define TWSTA 0x20
#define TWSTO 0x10
#define TWEN 0x04

#define ADDRESS 0x40
#define START 0x08
#define AGAIN 0x10
#define IDLE 0xF8

static avr_twi_t *simavr; /* for its interrupt vector */
static uint8_t status = IDLE; /* of the operation under way */

static uint8_t *data(void) { return chip.avr->data; }

static avr_cycle_count_t bits(int count) {
    int prescaler = 1 << 2 * (data()[TWSR] & 3);
    return (avr_cycle_count_t)(count * (16 + 2 * data()[TWBR] * prescaler));
}

static void show(uint8_t code) { data()[TWSR] = code | (data()[TWSR] & 3); }

static avr_cycle_count_t done(avr_t *avr, avr_cycle_count_t when, void *param) {
    (void)when, (void)param;
    show(status);
    avr_raise_interrupt(avr, &simavr->twi);
    return 0;
}

static avr_cycle_count_t stopped(avr_t *avr, avr_cycle_count_t when, void *param) {
    (void)avr, (void)when, (void)param;
    data()[TWCR] &= ~TWSTO;
    show(status = IDLE);
    chip_outputs(); /* a PCA9685 takes what it was sent at the stop */
    return 0;
}

static bool addressing(void) { return status == START || status == AGAIN; }

/* Both boards hear every byte. */
static bool tell(uint8_t byte) {
    bool first, second;
    if (addressing()) {
        first = pca9685_address(&chip.board[0], byte, ADDRESS);
        second = pca9685_address(&chip.board[1], byte, ADDRESS + 1);
    } else {
        first = pca9685_byte(&chip.board[0], byte);
        second = pca9685_byte(&chip.board[1], byte);
    }
    return first || second;
}

static void transfer(void) {
    bool address = addressing(), acknowledged = tell(data()[TWDR]);
    status = address ? (acknowledged ? 0x18 : 0x20) : (acknowledged ? 0x28 : 0x30);
    avr_cycle_timer_register(chip.avr, bits(9), done, NULL);
}

static void begin(uint8_t control) {
    if (control & TWSTA) {
        status = status == IDLE ? START : AGAIN;
        avr_cycle_timer_register(chip.avr, bits(1), done, NULL);
    } else if (control & TWSTO) {
        avr_cycle_timer_register(chip.avr, bits(1), stopped, NULL);
    } else {
        transfer();
    }
}

static void write_control(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param) {
    (void)param;
    uint8_t flag = value & TWINT ? 0 : data()[address] & TWINT; /* writing a one clears it */
    data()[address] = (value & ~TWINT) | flag;
    if (!(value & TWEN)) {
        avr_cycle_timer_cancel(avr, done, NULL);
        avr_cycle_timer_cancel(avr, stopped, NULL);
        show(status = IDLE);
    } else if (value & TWINT) {
        avr_clear_interrupt(avr, &simavr->twi);
        if (!chip.stuck) begin(value);
    }
}

static bool any(void *module) {
    (void)module;
    return true;
}

void twi_reset(void) {
    show(status = IDLE);
}

void twi_start(void) {
    simavr = chip_module("twi", any);
    chip_on_write(TWCR, write_control);
    twi_reset();
}
