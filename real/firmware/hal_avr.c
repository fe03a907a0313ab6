/* ATmega2560 at 16 MHz. Timer 0 counts milliseconds, timer 1 half microseconds. Pins: README.md. */
#include "hal.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <avr/wdt.h>
#include <util/atomic.h>
#include <util/delay.h>
#include <util/twi.h>

#include "table.h"

#define BUS_HZ 400000UL
#define BUS_WAIT 2000    /* half microseconds for one byte; at 400 kHz it takes 45 */
#define OE PG5           /* Arduino Mega pin D4 */
#define SCL PD0          /* D21; the bus is open-drain: a pin is an output to pull down, an input to let go */
#define SDA PD1          /* D20 */
#define SUPPLY_INPUT 0   /* ADC0, through a divider by two */
#define FREE_INPUT 1     /* ADC1, left open */
#define FULL_SCALE_MV 10000UL

const char hal_chip[16] = "ATmega2560";

static volatile uint8_t rx[256], tx[256]; /* rings whose 8-bit indices wrap by themselves */
static volatile uint8_t rx_in, rx_out, tx_in, tx_out;
static volatile uint32_t milliseconds;
static volatile bool due; /* whether the loop has something to do */
static uint8_t reset_cause __attribute__((section(".noinit")));

/* Before main, since a watchdog that caused the reset still runs, with its shortest time. */
__attribute__((naked, used, section(".init3"))) static void before_main(void) {
    reset_cause = MCUSR;
    MCUSR = 0;
    wdt_disable();
}

ISR(TIMER0_COMPA_vect) {
    milliseconds++;
    due = true;
}

ISR(USART0_RX_vect) {
    uint8_t byte = UDR0;
    if ((uint8_t)(rx_in + 1) == rx_out) return; /* full: the frame's CRC will fail */
    rx[rx_in] = byte;
    rx_in++;
    if (byte == 0) due = true;
}

ISR(USART0_UDRE_vect) {
    if (tx_in == tx_out) UCSR0B &= ~_BV(UDRIE0);
    else UDR0 = tx[tx_out++];
}

static void start_timers(void) {
    OCR0A = F_CPU / 64 / 1000 - 1;
    TCCR0A = _BV(WGM01);
    TIMSK0 = _BV(OCIE0A);
    TCCR0B = _BV(CS01) | _BV(CS00);
    TCCR1B = _BV(CS11);
}

static void start_serial(void) {
    UCSR0A = _BV(U2X0);
    UBRR0 = F_CPU / 8 / BAUD - 1;
    UCSR0C = _BV(UCSZ01) | _BV(UCSZ00);
    UCSR0B = _BV(RXCIE0) | _BV(RXEN0) | _BV(TXEN0);
}

static void start_adc(uint8_t input) {
    ADMUX = _BV(REFS0) | input;
    ADCSRA = _BV(ADEN) | _BV(ADSC) | _BV(ADIF) | _BV(ADPS2) | _BV(ADPS1) | _BV(ADPS0);
}

void hal_start(void) {
    wdt_enable(WDTO_250MS);
    hal_outputs(false);
    DDRG |= _BV(OE);
    start_timers();
    start_serial();
    TWBR = (F_CPU / BUS_HZ - 16) / 2;
    start_adc(SUPPLY_INPUT);
    sei();
}

uint8_t hal_reset_cause(void) { return reset_cause; }

uint32_t hal_millis(void) {
    uint32_t now;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { now = milliseconds; }
    return now;
}

uint16_t hal_micros(void) { return TCNT1 / 2; }

int16_t hal_receive(void) { return rx_in == rx_out ? -1 : rx[rx_out++]; }

uint8_t hal_room(void) { return (uint8_t)(tx_out - tx_in - 1); }

void hal_send(uint8_t byte) {
    tx[tx_in] = byte; /* before the index moves: the interrupt may come in between */
    tx_in++;
    UCSR0B |= _BV(UDRIE0);
}

/* A stuck bus is let go; one on which a device does not answer stays claimed, since that may look like a stop. */
static bool late(uint16_t began) {
    if ((uint16_t)(TCNT1 - began) <= BUS_WAIT) return false;
    TWCR = 0;
    return true;
}

/* Lets the bus do something and returns its status; 0xF8 (TW_NO_INFO) if it did not within its time. */
static uint8_t bus(uint8_t control) {
    TWCR = control | _BV(TWINT) | _BV(TWEN);
    uint16_t began = TCNT1;
    while (!(TWCR & _BV(TWINT)))
        if (late(began)) return TW_NO_INFO;
    return TW_STATUS;
}

static uint8_t bus_byte(uint8_t byte) {
    TWDR = byte;
    return bus(0);
}

/* A stop raises no flag; the bit that asks for it clears. */
bool hal_bus_end(void) {
    TWCR = _BV(TWINT) | _BV(TWEN) | _BV(TWSTO);
    uint16_t began = TCNT1;
    while (TWCR & _BV(TWSTO))
        if (late(began)) return false;
    return true;
}

static bool bus_start(void) {
    uint8_t status = bus(_BV(TWSTA));
    return status == TW_START || status == TW_REP_START;
}

bool hal_bus_write(uint8_t address, const uint8_t *bytes, uint8_t count) {
    bool taken = bus_start() && bus_byte(address << 1 | TW_WRITE) == TW_MT_SLA_ACK;
    while (taken && count--) taken = bus_byte(*bytes++) == TW_MT_DATA_ACK;
    return taken;
}

/* All bytes but the last are acknowledged, which asks for one more. */
static bool bus_take(uint8_t *bytes, uint8_t count) {
    for (; count; count--) {
        if (bus(count > 1 ? _BV(TWEA) : 0) != (count > 1 ? TW_MR_DATA_ACK : TW_MR_DATA_NACK)) return false;
        *bytes++ = TWDR;
    }
    return true;
}

bool hal_bus_read(uint8_t address, uint8_t where, uint8_t *bytes, uint8_t count) {
    return hal_bus_write(address, &where, 1) && bus_start() && bus_byte(address << 1 | TW_READ) == TW_MR_SLA_ACK &&
           bus_take(bytes, count);
}

static void pull(uint8_t pin) {
    DDRD |= _BV(pin);
    _delay_us(5);
}

static void let_go(uint8_t pin) {
    DDRD &= ~_BV(pin);
    _delay_us(5);
}

/* A device that sends lets the data wire go at one of nine clocks, and one that listens acknowledges for one at most. The
 * first time that it is let go, a start and a stop end whatever the device was at. */
void hal_bus_free(void) {
    TWCR = 0;
    for (uint8_t i = 0; i < 9; i++) pull(SCL), let_go(SCL), pull(SDA), let_go(SDA);
}

void hal_outputs(bool enabled) {
    if (enabled) PORTG &= ~_BV(OE);
    else PORTG |= _BV(OE);
}

bool hal_supply(uint16_t *millivolts) {
    if (!(ADCSRA & _BV(ADIF))) return false;
    *millivolts = (uint16_t)(ADC * FULL_SCALE_MV / 1024);
    start_adc(SUPPLY_INPUT);
    return true;
}

uint8_t hal_noise(void) {
    while (ADCSRA & _BV(ADSC)) {}
    start_adc(FREE_INPUT);
    while (ADCSRA & _BV(ADSC)) {}
    uint8_t noise = (uint8_t)ADC ^ TCNT0;
    start_adc(SUPPLY_INPUT);
    return noise;
}

bool hal_eeprom_ready(void) { return !(EECR & _BV(EEPE)); }

uint8_t hal_eeprom_read(uint16_t address) {
    EEAR = address;
    EECR |= _BV(EERE);
    return EEDR;
}

void hal_eeprom_write(uint16_t address, uint8_t value) {
    EEAR = address;
    EEDR = value;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { /* the second bit counts only within four cycles of the first */
        EECR |= _BV(EEMPE);
        EECR |= _BV(EEPE);
    }
}

void hal_feed_watchdog(void) { wdt_reset(); }

void hal_sleep(void) {
    set_sleep_mode(SLEEP_MODE_IDLE);
    sleep_enable();
    for (;;) {
        cli();
        if (due) break;
        sei(); /* takes effect after the next instruction: no interrupt gets lost between the two */
        sleep_cpu();
    }
    due = false;
    sei();
}
