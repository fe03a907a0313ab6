/* The RP2040 has no EEPROM. The last 32 KB of flash are two banks. One is in use: a log of bytes, each with its address and
 * the complement of both. Flash can only be erased by 4 KB, which takes up to 0.4 s; so that happens at the start alone, when
 * the log is half full and moves to the other bank. Writing a byte takes 3 ms at most. Code and interrupts run in RAM.
 *
 * Power may go at any moment. A bank counts once its number and the number's complement are written, after all else. Writing
 * only clears bits and erasing only sets them, so a word that was cut off does not match its complement. */
#include <stdbool.h>
#include <string.h>

#include "hal.h"
#include "rp2040.h"

#define FLASH_SIZE 0x200000UL
#define BANK_SIZE 0x4000UL
#define BANKS_AT (FLASH_SIZE - 2 * BANK_SIZE)
#define PAGE 256
#define SECTOR 4096
#define SECTOR_ERASE 0x20 /* the flash's command */
#define WORDS (BANK_SIZE / 4)
#define NUMBER 0 /* words of a bank: its number, the complement, and then the log */
#define COMPLEMENT 1
#define LOG 2
#define EMPTY 0xFFFFFFFFUL

/* Functions of the boot ROM [2.8.3]; where it keeps their table is in rp2040.ld. */
extern const uint16_t rom_functions, rom_find;
#define ROM(name, a, b) ((name)find((a) | (b) << 8))
typedef void (*rom_plain)(void);
typedef void (*rom_erase)(uint32_t at, uint32_t count, uint32_t block, uint8_t command);
typedef void (*rom_program)(uint32_t at, const uint8_t *bytes, uint32_t count);

static uint8_t bank;
static uint16_t next;                      /* free word of the log */
static uint16_t newest[HAL_EEPROM_SIZE];   /* word that holds a byte; 0: none */

static void *find(uint32_t name) {
    void *(*entry)(const uint16_t *, uint32_t) = (void *(*)(const uint16_t *, uint32_t))(uint32_t)rom_find;
    return entry((const uint16_t *)(uint32_t)rom_functions, name);
}

static uint32_t place(uint8_t which) { return BANKS_AT + which * BANK_SIZE; }

static uint32_t word(uint8_t which, uint32_t index) { return REGISTER(FLASH_UNCACHED + place(which) + 4 * index); }

static void begin(void) {
    ROM(rom_plain, 'I', 'F')(); /* connects the flash, */
    ROM(rom_plain, 'E', 'X')(); /* which takes commands from here on */
}

/* Readable again, by the command that boot2 uses, too. */
static void end(void) {
    ROM(rom_plain, 'F', 'C')();
    ROM(rom_plain, 'C', 'X')();
}

/* All other bytes of the page stay as they are, since ones change nothing. */
static void write(uint32_t index, uint32_t value) {
    uint8_t page[PAGE];
    memset(page, 0xFF, sizeof page);
    memcpy(page + 4 * index % PAGE, &value, sizeof value);
    begin();
    ROM(rom_program, 'R', 'P')((place(bank) + 4 * index) / PAGE * PAGE, page, PAGE);
    end();
}

static uint32_t sealed(uint16_t address, uint8_t value) {
    uint32_t half = address | (uint32_t)value << 8;
    return half | (~half & 0xFFFF) << 16;
}

static bool whole(uint32_t found) { return ((found ^ found >> 16) & 0xFFFF) == 0xFFFF; }

static uint32_t number(uint8_t which) {
    uint32_t found = word(which, NUMBER);
    return found == ~word(which, COMPLEMENT) ? found : 0;
}

static void append(uint16_t address, uint8_t value) {
    if (next == WORDS) return; /* full until the next reset: nothing takes, and the core says so */
    write(next, sealed(address, value));
    if (word(bank, next) == sealed(address, value)) newest[address] = next;
    next++;
}

static void scan(void) {
    for (next = LOG; next < WORDS && word(bank, next) != EMPTY; next++)
        if (whole(word(bank, next))) newest[word(bank, next) & 0xFF] = next;
}

static void move(void) {
    uint8_t old = bank;
    uint32_t following = number(old) + 1;
    bank = !old;
    begin();
    ROM(rom_erase, 'R', 'E')(place(bank), BANK_SIZE, SECTOR, SECTOR_ERASE);
    end();
    next = LOG;
    for (uint16_t a = 0; a < HAL_EEPROM_SIZE; a++)
        if (newest[a]) append(a, (uint8_t)(word(old, newest[a]) >> 8));
    write(NUMBER, following);
    write(COMPLEMENT, ~following);
}

void eeprom_start(void) {
    memset(newest, 0, sizeof newest);
    bank = number(1) > number(0);
    if (number(bank)) scan();
    if (!number(bank) || next > WORDS / 2) move();
}

bool hal_eeprom_ready(void) { return true; }

uint8_t hal_eeprom_read(uint16_t address) { return newest[address] ? (uint8_t)(word(bank, newest[address]) >> 8) : 0xFF; }

void hal_eeprom_write(uint16_t address, uint8_t value) { append(address, value); }
