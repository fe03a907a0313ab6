#include "hal_host.h"

#include <string.h>

#include "hal.h"
#include "table.h"

#define LINE 4096
#define EEPROM_SIZE 4096
#define WORN 60 /* a byte among the limits that takes nothing if `parts` has bit 2 */

const char hal_chip[16] = "host";

static uint8_t rx[LINE], tx[LINE], eeprom[EEPROM_SIZE];
static uint8_t registers[2][256], shown[2][256]; /* what was written; what came out at the last stop */
static int flip = -1; /* bits that pass on the bus until one is flipped */
static size_t rx_in, rx_out, tx_count;
static uint32_t now, fed;
static uint16_t supply = 6000;
static uint8_t cause, boards = 3, parts = 3, noise;
static bool outputs, measured;

void host_reset(uint8_t why) {
    rx_in = rx_out = tx_count = 0;
    now = fed = 0;
    cause = why;
    boards = parts = 3;
    supply = 6000;
    outputs = false;
    flip = -1;
    host_cut_board(0);
    host_cut_board(1);
}

void host_erase(void) { memset(eeprom, 0xFF, sizeof eeprom); }

void host_feed(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) rx[rx_in++ % LINE] = bytes[i];
}

void host_tick(void) {
    now++;
    measured = parts & 1;
}

void host_set_supply(uint16_t millivolts) { supply = millivolts; }
void host_set_boards(uint8_t answering) { boards = answering; }
void host_cut_board(uint8_t board) {
    uint8_t *at = registers[board & 1];
    memset(at, 0, sizeof registers[0]);
    at[0] = 0x11; /* asleep */
    at[1] = 0x04;
    memcpy(shown[board & 1], at, sizeof shown[0]);
}
void host_spoil(uint16_t address) { eeprom[address % EEPROM_SIZE] ^= 0x55; }
void host_flip(int bits) { flip = bits; }
void host_set_parts(uint8_t working) { parts = working; }

size_t host_sent(uint8_t *bytes, size_t most) {
    size_t count = tx_count < most ? tx_count : most;
    memcpy(bytes, tx, count);
    tx_count = 0;
    return count;
}

bool host_outputs(void) { return outputs; }

uint16_t host_counts(uint8_t channel) {
    const uint8_t *at = shown[channel / 16] + 6 + 4 * (channel % 16);
    if (at[3] & 0x10 || shown[channel / 16][0] & 0x10) return 0; /* off, or asleep */
    return (uint16_t)(((at[2] | at[3] << 8) - (at[0] | at[1] << 8)) & 4095);
}

uint32_t host_fed(void) { return fed; }

void hal_start(void) {}
uint8_t hal_reset_cause(void) { return cause; }
uint32_t hal_millis(void) { return now; }
uint16_t hal_micros(void) { return (uint16_t)(now * 1000) & HAL_MICROS_MASK; }
int16_t hal_receive(void) { return rx_in == rx_out ? -1 : rx[rx_out++ % LINE]; }
uint8_t hal_room(void) { return LINE - tx_count > 255 ? 255 : (uint8_t)(LINE - tx_count); }
void hal_send(uint8_t byte) { tx[tx_count++] = byte; }

static void store(uint8_t board, uint8_t where, uint8_t value) {
    registers[board][where] = value;
    if (where != 0xFD) return; /* all outputs at once */
    for (int output = 0; output < 16; output++) registers[board][6 + 4 * output + 3] = value;
}

/* A byte on the wire, as it arrives. */
static uint8_t wire(uint8_t byte) {
    bool here = 0 <= flip && flip < 8;
    uint8_t mask = here ? (uint8_t)(1 << flip) : 0;
    if (flip >= 0) flip = here ? -1 : flip - 8;
    return byte ^ mask;
}

/* Which board hears an address, or 2. A flipped direction garbles a transfer, so that nobody acknowledges. */
static uint8_t heard(uint8_t address, uint8_t reading) {
    uint8_t byte = wire((uint8_t)(address << 1 | reading)), board = (byte >> 1) - 0x40;
    return (byte & 1) == reading && board < 2 && boards >> board & 1 ? board : 2;
}

/* Without auto-increment every byte is for the same register. */
static uint8_t following(uint8_t board, uint8_t where) { return registers[board][0] & 0x20 ? where + 1 : where; }

bool hal_bus_write(uint8_t address, const uint8_t *bytes, uint8_t count) {
    uint8_t board = heard(address, 0);
    if (board > 1) return false;
    for (uint8_t i = 1, where = wire(bytes[0]); i < count; i++, where = following(board, where))
        store(board, where, wire(bytes[i]));
    return true;
}

bool hal_bus_read(uint8_t address, uint8_t where, uint8_t *bytes, uint8_t count) {
    uint8_t board = heard(address, 0), at = wire(where);
    if (board > 1 || heard(address, 1) != board) return false;
    for (uint8_t i = 0; i < count; i++, at = following(board, at)) bytes[i] = wire(registers[board][at]);
    return true;
}

bool hal_bus_end(void) {
    memcpy(shown, registers, sizeof shown);
    return true;
}

void hal_bus_free(void) {}

void hal_outputs(bool enabled) { outputs = enabled; }

bool hal_supply(uint16_t *millivolts) {
    if (!measured) return false;
    measured = false;
    *millivolts = supply;
    return true;
}

uint8_t hal_noise(void) { return noise = (uint8_t)(noise * 5 + 1); }

bool hal_eeprom_ready(void) { return parts & 2; }
uint8_t hal_eeprom_read(uint16_t address) { return eeprom[address]; }
void hal_eeprom_write(uint16_t address, uint8_t value) { eeprom[address] = parts & 4 && address == WORN ? 0xFF : value; }
void hal_feed_watchdog(void) { fed++; }
void hal_sleep(void) {}
