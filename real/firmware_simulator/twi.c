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
#define TWEA 0x40

#define DDRD 0x2A /* of the pins, which are the bus while TWEN is off */
#define SCL 0x01
#define SDA 0x02
#define BYTE 9    /* clocks, with the acknowledgement */

#define ADDRESS 0x40
#define START 0x08
#define AGAIN 0x10
#define IDLE 0xF8
#define SENT_ADDRESS 0x18 /* these and 8: not acknowledged */
#define SENT_BYTE 0x28
#define READING 0x28      /* more for an address that asks to read */
#define GOT_BYTE 0x50

static struct write ddrd; /* what simavr itself does */
static avr_twi_t *simavr; /* for its interrupt vector */
static uint8_t status = IDLE; /* of the operation under way */
static uint8_t incoming;      /* what it will have read */

static uint8_t *data(void) { return chip.avr->data; }

static avr_cycle_count_t bits(int count) {
    int prescaler = 1 << 2 * (data()[TWSR] & 3);
    return (avr_cycle_count_t)(count * (16 + 2 * data()[TWBR] * prescaler));
}

static void show(uint8_t code) { data()[TWSR] = code | (data()[TWSR] & 3); }

static avr_cycle_count_t done(avr_t *avr, avr_cycle_count_t when, void *param) {
    (void)when, (void)param;
    if (status == GOT_BYTE || status == GOT_BYTE + 8) data()[TWDR] = incoming;
    show(status);
    avr_raise_interrupt(avr, &simavr->twi);
    return 0;
}

/* PCA9685 put out what they were sent. */
static void stop(void) {
    for (int b = 0; b < 2; b++) pca9685_stop(&chip.board[b]);
    chip_outputs();
}

static avr_cycle_count_t stopped(avr_t *avr, avr_cycle_count_t when, void *param) {
    (void)avr, (void)when, (void)param;
    data()[TWCR] &= ~TWSTO;
    show(status = IDLE);
    stop();
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

/* A byte as it arrives at the other end. */
static uint8_t wire(uint8_t byte) {
    bool here = 0 <= chip.flip && chip.flip < 8;
    uint8_t mask = here ? (uint8_t)(1 << chip.flip) : 0;
    if (chip.flip >= 0) chip.flip = here ? -1 : chip.flip - 8;
    return byte ^ mask;
}

/* An address, or a byte for a board. */
static void send(void) {
    uint8_t byte = wire(data()[TWDR]);
    bool address = addressing(), reading = address && data()[TWDR] & 1, acknowledged = tell(byte);
    acknowledged &= !address || (byte & 1) == (data()[TWDR] & 1); /* a board that wants the other direction garbles it */
    if (address) status = acknowledged ? SENT_ADDRESS : SENT_ADDRESS + 8;
    else status = acknowledged ? SENT_BYTE : SENT_BYTE + 8;
    if (reading) status += READING;
}

/* A byte from the board that was asked; without an acknowledgement it is the last. */
static void receive(bool more) {
    for (int b = 0; b < 2; b++)
        if (chip.board[b].reading) incoming = wire(pca9685_tell(&chip.board[b]));
    status = more ? GOT_BYTE : GOT_BYTE + 8;
}

static bool receiving(void) { return status == SENT_ADDRESS + READING || status == GOT_BYTE; }

static void transfer(uint8_t control) {
    if (receiving()) receive(control & TWEA);
    else send();
    avr_cycle_timer_register(chip.avr, bits(BYTE), done, NULL);
}

static void begin(uint8_t control) {
    if (control & TWSTA) {
        status = status == IDLE ? START : AGAIN;
        avr_cycle_timer_register(chip.avr, bits(1), done, NULL);
    } else if (control & TWSTO) {
        avr_cycle_timer_register(chip.avr, bits(1), stopped, NULL);
    } else {
        transfer(control);
    }
}

static void write_control(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param) {
    (void)param;
    uint8_t flag = value & TWINT ? 0 : data()[address] & TWINT; /* writing a one clears it */
    data()[address] = (value & ~TWINT) | flag;
    if (!(value & TWEN)) {
        avr_cycle_timer_cancel(avr, done, NULL);
        avr_cycle_timer_cancel(avr, stopped, NULL);
        if (status != IDLE && !chip.stuck && !chip.held) stop(); /* both wires are let go, which looks like a stop */
        show(status = IDLE);
    } else if (value & TWINT) {
        avr_clear_interrupt(avr, &simavr->twi);
        if (!chip.stuck && !chip.held) begin(value);
    }
}

/* Each clock moves a chip that holds the bus on by one bit. simavr does not see these two pins: it would check a low pin
 * in every cycle, and it simulates no pull-up. */
static void write_directions(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param) {
    (void)param;
    bool clock = data()[address] & SCL && !(value & SCL) && !(data()[TWCR] & TWEN);
    if (clock && chip.held) chip.held--;
    ddrd.call(avr, address, value & ~(SCL | SDA), ddrd.param);
    data()[address] = value;
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
    chip_tap(DDRD, write_directions, &ddrd);
    twi_reset();
}
