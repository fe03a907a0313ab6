/* USART0: two bytes and a shift register on the way in, one and a shift register on the way out, real times. */
#include <simavr/avr_uart.h>

#include "chip.h"

#define UCSRA 0xC0
#define UCSRB 0xC1
#define UBRRL 0xC4
#define UBRRH 0xC5
#define UDR 0xC6

#define RXC 0x80
#define TXC 0x40
#define UDRE 0x20
#define FE 0x10
#define DOR 0x08
#define U2X 0x02
#define RXCIE 0x80
#define UDRIE 0x20
#define RXEN 0x10
#define TXEN 0x08

static avr_uart_t *simavr; /* for its interrupt vectors */
static uint16_t fifo[3];   /* the third is the shift register */
static int held;
static bool overrun, shifting, buffered;
static uint8_t buffer;

static uint8_t *data(void) { return chip.avr->data; }

double uart_bit(void) {
    int divider = data()[UBRRL] | (data()[UBRRH] & 0x0F) << 8;
    return (data()[UCSRA] & U2X ? 8.0 : 16.0) * (divider + 1);
}

static void show_flags(void) {
    uint8_t flags = data()[UCSRA] & (U2X | TXC | 1);
    if (held) flags |= RXC | (fifo[0] & FRAMING_ERROR ? FE : 0) | (overrun ? DOR : 0);
    if (!buffered) flags |= UDRE;
    data()[UCSRA] = flags;
}

static void raise(avr_int_vector_t *vector) {
    avr_raise_interrupt(chip.avr, vector);
    show_flags();
}

static avr_cycle_count_t received(avr_t *avr, avr_cycle_count_t when, void *param) {
    (void)avr, (void)when, (void)param;
    uint16_t byte = line_take(&chip.in);
    if (data()[UCSRB] & RXEN) {
        if (held < 3) fifo[held++] = byte;
        else overrun = true;
        raise(&simavr->rxc);
    }
    uart_listen();
    return 0;
}

void uart_listen(void) {
    double when;
    avr_cycle_timer_cancel(chip.avr, received, NULL);
    chip.in.receiver = uart_bit();
    if (!line_next(&chip.in, &when)) return;
    uint64_t now = chip.avr->cycle, due = (uint64_t)when + 1;
    avr_cycle_timer_register(chip.avr, due > now ? due - now : 1, received, NULL);
}

static uint8_t read_data(avr_t *avr, avr_io_addr_t address, void *param) {
    (void)avr, (void)param;
    uint8_t byte = (uint8_t)fifo[0];
    if (!held) return data()[address];
    fifo[0] = fifo[1];
    fifo[1] = fifo[2];
    held--;
    overrun = false;
    avr_clear_interrupt(chip.avr, &simavr->rxc);
    if (held) raise(&simavr->rxc);
    show_flags();
    return byte;
}

static avr_cycle_count_t shifted(avr_t *avr, avr_cycle_count_t when, void *param);

static void shift(uint8_t byte) {
    shifting = true;
    chip.out.sender = uart_bit();
    line_put(&chip.out, (double)chip.avr->cycle, byte);
    avr_cycle_timer_register(chip.avr, (avr_cycle_count_t)(10 * uart_bit()), shifted, NULL);
}

static avr_cycle_count_t shifted(avr_t *avr, avr_cycle_count_t when, void *param) {
    (void)avr, (void)when, (void)param;
    shifting = false;
    if (buffered) {
        buffered = false;
        shift(buffer);
        raise(&simavr->udrc);
    } else {
        data()[UCSRA] |= TXC;
    }
    return 0;
}

static void write_data(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param) {
    (void)avr, (void)address, (void)param;
    if (!(data()[UCSRB] & TXEN)) return;
    if (!shifting) {
        shift(value);
        raise(&simavr->udrc);
        return;
    }
    buffer = value;
    buffered = true;
    avr_clear_interrupt(chip.avr, &simavr->udrc);
    show_flags();
}

static void write_flags(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param) {
    (void)avr, (void)param;
    data()[address] = (data()[address] & ~U2X & ~(value & TXC)) | (value & U2X);
    show_flags();
}

static void write_control(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param) {
    (void)avr, (void)param;
    uint8_t added = value & ~data()[address];
    data()[address] = value;
    if (added & UDRIE && !buffered) raise(&simavr->udrc);
    if (added & RXCIE && held) raise(&simavr->rxc);
}

static void write_divider(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param) {
    (void)avr, (void)param;
    data()[address] = value;
    uart_listen();
}

static bool first(void *module) { return ((avr_uart_t *)module)->name == '0'; }

void uart_reset(void) {
    held = 0;
    overrun = shifting = buffered = false;
    show_flags();
    uart_listen();
}

void uart_start(void) {
    simavr = chip_module("uart", first);
    chip_on_write(UDR, write_data);
    chip_on_read(UDR, read_data);
    chip_on_write(UCSRA, write_flags);
    chip_on_read(UCSRA, NULL);
    chip_on_write(UCSRB, write_control);
    chip_on_write(UBRRL, write_divider);
    uart_reset();
}
