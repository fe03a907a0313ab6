#include "chip.h"

#include <math.h>
#include <simavr/avr_adc.h>
#include <simavr/avr_eeprom.h>
#include <simavr/sim_elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DDRG 0x33
#define PORTG 0x34
#define OE 0x20 /* PG5; not a pin with an external interrupt, whose level simavr would look at every cycle */
#define EECR 0x3F
#define EEMPE 0x04
#define EEPE 0x02
#define MCUSR 0x54
#define POWER_ON 1

#define EEPROM_SIZE 4096
#define EEPROM_CYCLES (HERTZ / 10000 * 33) /* 3.3 ms a byte */
#define DIVIDER 2                          /* of the servo supply, in front of ADC0 */

struct chip chip;

static struct write eecr, portg, ddrg; /* what simavr itself does */
static void (*simavr_reset)(avr_t *avr);

static int slot(avr_io_addr_t address) { return AVR_DATA_TO_IO(address); }

void chip_on_write(avr_io_addr_t address, avr_io_write_t callback) {
    chip.avr->io[slot(address)].w.c = callback;
    chip.avr->io[slot(address)].w.param = NULL;
}

void chip_on_read(avr_io_addr_t address, avr_io_read_t callback) {
    chip.avr->io[slot(address)].r.c = callback;
    chip.avr->io[slot(address)].r.param = NULL;
}

void chip_tap(avr_io_addr_t address, avr_io_write_t callback, struct write *before) {
    before->call = chip.avr->io[slot(address)].w.c;
    before->param = chip.avr->io[slot(address)].w.param;
    chip_on_write(address, callback);
}

void *chip_module(const char *kind, bool (*is_it)(void *module)) {
    for (avr_io_t *module = chip.avr->io_port; module; module = module->next)
        if (module->kind && !strcmp(module->kind, kind) && is_it(module)) return module;
    fprintf(stderr, "simavr has no %s\n", kind);
    exit(1);
}

/* splitmix64, so that a seed gives the same noise on every machine */
static uint64_t random64(void) {
    uint64_t z = chip.noise += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* /OE has a pull-up: outputs only come on if the pin is driven, and low. */
static bool enabled(void) {
    const uint8_t *data = chip.avr->data;
    return data[DDRG] & OE && !(data[PORTG] & OE);
}

static void put_event(uint8_t channel, double width) {
    if (chip.event_count == chip.event_room) {
        chip.event_room = chip.event_room ? 2 * chip.event_room : 256;
        chip.events = realloc(chip.events, chip.event_room * sizeof *chip.events);
        if (!chip.events) abort();
    }
    chip.events[chip.event_count++] = (struct event){chip.avr->cycle, channel, width};
}

static bool differ(double a, double b) { return isnan(a) ? !isnan(b) : a != b; }

static void look(int board) {
    bool on = enabled();
    for (int c = board * OUTPUTS; c < CHANNELS && c < (board + 1) * OUTPUTS; c++) {
        double width = on ? pca9685_pulse(&chip.board[board], c % OUTPUTS) : NAN;
        if (!differ(width, chip.width[c])) continue;
        chip.width[c] = width;
        put_event((uint8_t)c, width);
    }
}

void chip_outputs(void) { look(0), look(1); }

/* Its own pulses stop; the other board may be in the middle of being written. */
void chip_cut(int board) {
    pca9685_reset(&chip.board[board]);
    look(board);
}

static void write_portg(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param) {
    (void)param;
    portg.call(avr, address, value, portg.param);
    chip_outputs();
}

static void write_ddrg(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param) {
    (void)param;
    ddrg.call(avr, address, value, ddrg.param);
    chip_outputs();
}

static avr_cycle_count_t eeprom_written(avr_t *avr, avr_cycle_count_t when, void *param) {
    (void)when, (void)param;
    avr->data[EECR] &= ~EEPE;
    return 0;
}

/* simavr writes at once; here EEPE stays set as long as a write takes, and nothing else is done meanwhile. */
static void write_eecr(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param) {
    (void)param;
    if (avr->data[EECR] & EEPE) return;
    bool writes = avr->data[EECR] & EEMPE && value & EEPE;
    eecr.call(avr, address, value, eecr.param);
    if (!writes) return;
    avr->data[EECR] |= EEPE;
    avr_cycle_timer_register(avr, EEPROM_CYCLES, eeprom_written, NULL);
}

/* A new draw of the open input's noise for every conversion. */
static void converting(avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)value, (void)param;
    avr_irq_t *input = avr_io_getirq(chip.avr, AVR_IOCTL_ADC_GETIRQ, ADC_IRQ_ADC1);
    avr_raise_irq(input, 1000 + (uint32_t)(random64() % 400));
}

static void on_reset(avr_t *avr) {
    if (simavr_reset) simavr_reset(avr);
    chip.was_reset = true;
}

/* What simavr forgets at a reset, or could not know. */
static void after_reset(void) {
    chip.was_reset = false;
    uart_reset();
    twi_reset();
    chip_outputs();
}

static void sleep_without_waiting(avr_t *avr, avr_cycle_count_t cycles) {
    (void)avr;
    chip.asleep += cycles + 1;
}

static void quiet(avr_t *avr, const int level, const char *format, va_list arguments) {
    (void)avr;
    if (level <= LOG_ERROR) vfprintf(stderr, format, arguments);
}

static void load(const char *elf) {
    elf_firmware_t firmware = {0};
    if (elf_read_firmware(elf, &firmware) != 0) {
        fprintf(stderr, "cannot read %s\n", elf);
        exit(1);
    }
    firmware.frequency = HERTZ;
    firmware.vcc = firmware.avcc = firmware.aref = 5000;
    avr_load_firmware(chip.avr, &firmware);
}

static void connect(void) {
    chip_tap(EECR, write_eecr, &eecr);
    chip_tap(PORTG, write_portg, &portg);
    chip_tap(DDRG, write_ddrg, &ddrg);
    avr_irq_t *start = avr_io_getirq(chip.avr, AVR_IOCTL_ADC_GETIRQ, ADC_IRQ_OUT_TRIGGER);
    avr_irq_register_notify(start, converting, NULL);
    simavr_reset = chip.avr->reset;
    chip.avr->reset = on_reset;
    chip.avr->sleep = sleep_without_waiting;
}

void chip_start(const char *elf, uint64_t seed) {
    avr_global_logger_set(quiet);
    chip.noise = seed;
    chip.flip = -1;
    chip.avr = avr_make_mcu_by_name("atmega2560");
    if (!chip.avr) exit(1);
    avr_init(chip.avr);
    load(elf);
    connect();
    for (int c = 0; c < CHANNELS; c++) chip.width[c] = NAN;
    uart_start();
    twi_start();
    chip_power_cycle();
    chip_supply(6000);
}

static avr_cycle_count_t wake(avr_t *avr, avr_cycle_count_t when, void *param) {
    (void)avr, (void)when, (void)param;
    return 0; /* only so that no sleep goes on beyond the end of a run */
}

/* After `sei` one more instruction runs before an interrupt. simavr lets two pass, so that `sei; sleep; cli` with an
 * interrupt pending would neither sleep nor ever serve it. */
static int step(avr_t *avr) {
    bool enabling = avr->interrupt_state < 0;
    int now = avr_run(avr);
    if (enabling && avr->interrupt_state > 0) avr_service_interrupts(avr);
    return now;
}

void chip_run(uint64_t until) {
    avr_t *avr = chip.avr;
    while (avr->cycle < until && !chip.crashed) {
        avr_cycle_timer_register(avr, until - avr->cycle, wake, NULL);
        while (avr->cycle < until && !chip.was_reset && !chip.crashed) {
            int state = step(avr);
            chip.crashed = state == cpu_Done || state == cpu_Crashed;
        }
        if (chip.was_reset) after_reset();
    }
}

void chip_supply(uint32_t millivolts) {
    avr_raise_irq(avr_io_getirq(chip.avr, AVR_IOCTL_ADC_GETIRQ, ADC_IRQ_ADC0), millivolts / DIVIDER);
}

/* nop; rjmp back to it; at the end of flash, where nothing is. */
void chip_hang(void) {
    static const uint8_t loop[4] = {0x00, 0x00, 0xFE, 0xCF};
    avr_t *avr = chip.avr;
    uint32_t at = avr->flashend + 1 - 64;
    memcpy(avr->flash + at, loop, sizeof loop);
    avr->pc = at;
    avr->sreg[S_I] = 0;
    avr->interrupt_state = 0;
    avr->state = cpu_Running;
}

void chip_power_cycle(void) {
    avr_t *avr = chip.avr;
    chip_unplug();
    chip.held = 0;
    for (int b = 0; b < 2; b++) pca9685_reset(&chip.board[b]);
    avr_reset(avr);
    avr->data[MCUSR] = POWER_ON;
    for (int i = 0x200; i <= avr->ramend; i++) avr->data[i] = (uint8_t)random64(); /* RAM wakes up as it likes */
    after_reset();
}

void chip_baud(double baud) { chip.in.sender = chip.out.receiver = HERTZ / baud; }

void chip_unplug(void) {
    line_cut(&chip.in, (double)chip.avr->cycle);
    line_cut(&chip.out, (double)chip.avr->cycle);
    uart_listen();
}

static uint8_t *eeprom(void) {
    avr_eeprom_desc_t whole = {.ee = NULL, .offset = 0, .size = EEPROM_SIZE - 1};
    avr_ioctl(chip.avr, AVR_IOCTL_EEPROM_GET, &whole);
    return whole.ee;
}

void chip_load_eeprom(const char *file) {
    FILE *in = fopen(file, "rb");
    if (!in) return; /* the first time there is none */
    size_t got = fread(eeprom(), 1, EEPROM_SIZE, in);
    (void)got;
    fclose(in);
}

bool chip_save_eeprom(const char *file) {
    char part[4096];
    if (snprintf(part, sizeof part, "%s.part", file) >= (int)sizeof part) return false;
    FILE *out = fopen(part, "wb");
    if (!out) return false;
    bool whole = fwrite(eeprom(), 1, EEPROM_SIZE, out) == EEPROM_SIZE;
    return fclose(out) == 0 && whole && rename(part, file) == 0;
}
