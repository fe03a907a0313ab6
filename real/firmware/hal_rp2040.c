/* RP2040 at 48 MHz. SysTick counts milliseconds, the timer microseconds. Pins: rp2040.h, README.md. Never run on hardware. */
#include "hal.h"

#include "rp2040.h"
#include "table.h"

#define CPU_HZ 48000000UL
#define CRYSTAL_HZ 12000000UL
#define CRYSTAL_MS 10      /* until it oscillates; those of some boards are slower than the Pico's, which takes 1 */
#define WATCHDOG_US 250000UL
#define STARTED 0x45564101UL /* in a register that a watchdog reset keeps */
#define BUS_WAIT_US 1000   /* for a device that holds the clock down; at 400 kHz a bit takes 2.5 */
#define ADC_WAIT_US 10     /* a measurement takes 2 */
#define SUPPLY_INPUT 0
#define FREE_INPUT 1
#define FULL_SCALE_MV 10560UL /* 3.3 V behind 22 kOhm and 10 kOhm */

/* Least cycles of the phases of a bit on the bus, with some for slow edges: 0.6, 1.3 and 0.3 us are asked for. */
#define HIGH 30
#define LOW 66
#define HELD 18

#define RESET_POWER 1 /* bits of hal_reset_cause */
#define RESET_EXTERNAL 2
#define RESET_WATCHDOG 8

const char hal_chip[16] = "RP2040";

static volatile uint8_t rx[256], tx[256]; /* rings whose 8-bit indices wrap by themselves */
static volatile uint8_t rx_in, rx_out, tx_in, tx_out;
static volatile uint32_t milliseconds;
static volatile bool due; /* whether the loop has something to do */
static uint8_t reset_cause;
static bool stuck; /* whether the clock stayed down since the last start or stop */

static void mask(void) { __asm__ volatile("cpsid i" : : : "memory"); }
static void unmask(void) { __asm__ volatile("cpsie i" : : : "memory"); }

void on_millisecond(void) {
    milliseconds++;
    due = true;
}

static void take_bytes(void) {
    while (!(UART0_FR & UART_RX_EMPTY)) {
        uint8_t byte = (uint8_t)UART0_DR;
        if ((uint8_t)(rx_in + 1) == rx_out) continue; /* full: the frame's CRC will fail */
        rx[rx_in] = byte;
        rx_in++;
        if (byte == 0) due = true;
    }
}

/* Its interrupt comes when the serial port's own memory runs empty, so only as long as more waits here. */
static void give_bytes(void) {
    while (tx_out != tx_in && !(UART0_FR & UART_TX_FULL)) UART0_DR = tx[tx_out++];
    UART0_IMSC = UART_RX_DUE | UART_RX_TIMEOUT | (tx_out != tx_in ? UART_TX_DUE : 0);
}

void on_serial(void) {
    take_bytes();
    give_bytes();
}

/* The boot ROM, too, resets by the watchdog, after it has flashed. So only a watchdog that was started here counts. */
static uint8_t find_cause(void) {
    if (WATCHDOG_REASON && WATCHDOG_SCRATCH0 == STARTED) return RESET_WATCHDOG;
    return CHIP_RESET & CHIP_RESET_POWER ? RESET_POWER : RESET_EXTERNAL;
}

static void wake(uint32_t peripherals) {
    CLEAR(RESETS_RESET) = peripherals;
    while (~RESETS_DONE & peripherals) {}
}

/* Crystal, and 48 MHz from the PLL for all: 12 MHz * 100 / 5 / 5. */
static void start_clocks(void) {
    XOSC_STARTUP = CRYSTAL_HZ / 1000 * CRYSTAL_MS / 256;
    XOSC_CTRL = 0xFABUL << 12 | 0xAA0; /* on; 1 to 15 MHz */
    while (!(XOSC_STATUS >> 31)) {}
    CLK_REF_CTRL = 2; /* crystal */
    while (!(CLK_REF_SELECTED & 1 << 2)) {}
    wake(RESET_PLL_USB);
    PLL_USB_CS = 1;
    PLL_USB_FBDIV_INT = 100;
    CLEAR(PLL_USB_PWR) = PLL_POWER_DOWN | PLL_VCO_DOWN;
    while (!(PLL_USB_CS >> 31)) {}
    PLL_USB_PRIM = 5UL << 16 | 5UL << 12;
    CLEAR(PLL_USB_PWR) = PLL_DIVIDERS_DOWN;
    CLK_SYS_CTRL = 1 << 5; /* PLL_USB as other source, and then the other source */
    CLK_SYS_CTRL = 1 << 5 | 1;
    while (!(CLK_SYS_SELECTED & 1 << 1)) {}
    CLK_PERI_CTRL = 1 << 11; /* on, from the system's */
    CLK_ADC_CTRL = 1 << 11;  /* on, from PLL_USB */
}

/* The tick is a microsecond, for the timer and the watchdog. */
static void start_timers(void) {
    WATCHDOG_TICK = 1 << 9 | CRYSTAL_HZ / 1000000;
    wake(RESET_TIMER);
    SYST_RVR = CPU_HZ / 1000 - 1;
    SYST_CVR = 0;
    SYST_CSR = 7; /* on, with interrupt, from the processor's clock */
}

static void start_serial(void) {
    wake(RESET_UART0);
    UART0_IBRD = CPU_HZ / 16 / BAUD;
    UART0_FBRD = 0;
    UART0_LCR_H = 3 << 5 | 1 << 4; /* 8 bits, FIFOs */
    UART0_IFLS = 2;                /* interrupts: 4 bytes came, or 16 of 32 are sent */
    UART0_IMSC = UART_RX_DUE | UART_RX_TIMEOUT;
    UART0_CR = 1 << 9 | 1 << 8 | 1;
    PAD(PIN_RX) = PAD_INPUT | PAD_SCHMITT | PAD_PULL_UP; /* a loose wire is silence */
    GPIO_CTRL(PIN_RX) = GPIO_CTRL(PIN_TX) = FUNCTION_UART;
    NVIC_ISER = 1UL << UART0_IRQ;
}

/* Both pins drive down or not at all. */
static void start_bus(void) {
    SIO_GPIO_OE_CLR = SIO_GPIO_OUT_CLR = 1UL << PIN_SDA | 1UL << PIN_SCL;
    PAD(PIN_SDA) = PAD(PIN_SCL) = PAD_INPUT | PAD_SCHMITT | PAD_PULL_UP | PAD_4_MA;
    GPIO_CTRL(PIN_SDA) = GPIO_CTRL(PIN_SCL) = FUNCTION_SIO;
}

static void measure(uint32_t input) { ADC_CS = ADC_ENABLE | ADC_START | ADC_INPUT(input); }

static bool measured(void) { return ADC_CS & ADC_READY; }

static void start_adc(void) {
    wake(RESET_ADC);
    PAD(PIN_SUPPLY) = PAD(PIN_FREE) = PAD_NO_OUTPUT;
    ADC_CS = ADC_ENABLE;
    while (!measured()) {}
}

static void start_outputs(void) {
    wake(RESET_IO_BANK0 | RESET_PADS_BANK0);
    hal_outputs(false);
    SIO_GPIO_OE_SET = 1UL << PIN_OE;
    PAD(PIN_OE) = PAD_4_MA | PAD_PULL_UP;
    GPIO_CTRL(PIN_OE) = FUNCTION_SIO;
}

/* A reset by it resets all but the two oscillators. It counts down twice a tick (erratum RP2040-E1). */
static void start_watchdog(void) {
    PSM_WDSEL = 0x1FFFC;
    WATCHDOG_SCRATCH0 = STARTED;
    hal_feed_watchdog();
    WATCHDOG_CTRL = WATCHDOG_ENABLE;
}

void hal_start(void) {
    WATCHDOG_CTRL = 0;
    reset_cause = find_cause();
    start_outputs();
    start_clocks();
    eeprom_start();
    start_timers();
    start_serial();
    start_bus();
    start_adc();
    start_watchdog();
    unmask();
}

uint8_t hal_reset_cause(void) { return reset_cause; }

uint32_t hal_millis(void) { return milliseconds; }

uint16_t hal_micros(void) { return (uint16_t)(TIMER_TIMERAWL & HAL_MICROS_MASK); }

int16_t hal_receive(void) { return rx_in == rx_out ? -1 : rx[rx_out++]; }

uint8_t hal_room(void) { return (uint8_t)(tx_out - tx_in - 1); }

void hal_send(uint8_t byte) {
    mask();
    tx[tx_in] = byte;
    tx_in++;
    give_bytes();
    unmask();
}

/* At least so many cycles: a turn takes three in RAM. */
static inline void wait(uint32_t cycles) {
    uint32_t turns = cycles / 3;
    __asm__ volatile("1: sub %0, #1\n bne 1b" : "+l"(turns) : : "cc");
}

static void pull(uint32_t pin) { SIO_GPIO_OE_SET = 1UL << pin; }

static void let_go(uint32_t pin) { SIO_GPIO_OE_CLR = 1UL << pin; }

static bool high(uint32_t pin) { return SIO_GPIO_IN >> pin & 1; }

static bool give_up(void) {
    stuck = true;
    let_go(PIN_SCL), let_go(PIN_SDA);
    return false;
}

/* The clock's rising edge. A stuck bus is let go; one on which a device does not answer stays claimed. */
static bool raise_clock(void) {
    if (stuck) return false;
    let_go(PIN_SCL);
    for (uint32_t began = TIMER_TIMERAWL; !high(PIN_SCL);)
        if (TIMER_TIMERAWL - began > BUS_WAIT_US) return give_up();
    wait(HIGH);
    return true;
}

static void lower_clock(void) {
    if (!stuck) pull(PIN_SCL);
    wait(HELD);
}

/* Puts out a bit, and returns what the wire shows. The clock is down before and after. */
static bool pass_bit(bool bit) {
    if (bit || stuck) let_go(PIN_SDA);
    else pull(PIN_SDA);
    wait(LOW - HELD);
    bool found = !raise_clock() || high(PIN_SDA);
    lower_clock();
    return found;
}

static uint8_t pass_byte(uint8_t byte) {
    uint8_t found = 0;
    for (uint8_t i = 0; i < 8; i++, byte <<= 1) found = (uint8_t)(found << 1 | pass_bit(byte & 0x80));
    return found;
}

/* Whether somebody acknowledges the byte. */
static bool bus_byte(uint8_t byte) {
    pass_byte(byte);
    return !pass_bit(true);
}

/* Also in the middle of a claimed bus. */
static bool bus_start(void) {
    stuck = false;
    let_go(PIN_SDA);
    wait(LOW);
    if (!raise_clock()) return false;
    if (!high(PIN_SDA)) return give_up();
    pull(PIN_SDA);
    wait(HIGH);
    lower_clock();
    return true;
}

bool hal_bus_write(uint8_t address, const uint8_t *bytes, uint8_t count) {
    bool taken = bus_start() && bus_byte((uint8_t)(address << 1));
    while (taken && count--) taken = bus_byte(*bytes++);
    return taken;
}

/* All bytes but the last are acknowledged, which asks for one more. */
bool hal_bus_read(uint8_t address, uint8_t where, uint8_t *bytes, uint8_t count) {
    if (!hal_bus_write(address, &where, 1) || !bus_start() || !bus_byte((uint8_t)(address << 1 | 1))) return false;
    for (; count; count--) {
        *bytes++ = pass_byte(0xFF);
        pass_bit(count == 1);
    }
    return !stuck;
}

static void lower_both(void) {
    pull(PIN_SCL);
    wait(HELD);
    pull(PIN_SDA);
    wait(LOW - HELD);
}

bool hal_bus_end(void) {
    stuck = false;
    lower_both();
    if (!raise_clock()) return false;
    let_go(PIN_SDA);
    wait(LOW);
    return high(PIN_SDA) || give_up();
}

static void pulse(uint32_t pin) {
    pull(pin);
    wait(LOW);
    let_go(pin);
    wait(LOW);
}

/* A device that sends lets the data wire go at one of nine clocks, and one that listens acknowledges for one at most. The
 * first time that it is let go, a start and a stop end whatever the device was at. */
void hal_bus_free(void) {
    let_go(PIN_SDA);
    for (uint8_t i = 0; i < 9; i++) pulse(PIN_SCL), pulse(PIN_SDA);
}

void hal_outputs(bool enabled) {
    if (enabled) SIO_GPIO_OUT_CLR = 1UL << PIN_OE;
    else SIO_GPIO_OUT_SET = 1UL << PIN_OE;
}

bool hal_supply(uint16_t *millivolts) {
    measure(SUPPLY_INPUT);
    for (uint32_t began = TIMER_TIMERAWL; !measured();)
        if (TIMER_TIMERAWL - began > ADC_WAIT_US) return false;
    *millivolts = (uint16_t)(ADC_RESULT * FULL_SCALE_MV / 4096);
    return true;
}

uint8_t hal_noise(void) {
    measure(FREE_INPUT);
    while (!measured()) {}
    uint8_t noise = (uint8_t)(ADC_RESULT ^ TIMER_TIMERAWL);
    for (uint8_t i = 0; i < 8; i++) noise ^= (uint8_t)((ROSC_RANDOMBIT & 1) << i);
    return noise;
}

void hal_feed_watchdog(void) { WATCHDOG_LOAD = 2 * WATCHDOG_US; }

/* The processor also wakes for interrupts that are masked: none gets lost between the question and the sleep. */
void hal_sleep(void) {
    for (;;) {
        mask();
        if (due) break;
        __asm__ volatile("wfi" : : : "memory");
        unmask();
    }
    due = false;
    unmask();
}
