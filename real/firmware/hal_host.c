#include "hal_host.h"

#include <string.h>

#include "hal.h"
#include "table.h"

#define LINE 4096
#define EEPROM_SIZE 4096

static uint8_t rx[LINE], tx[LINE], eeprom[EEPROM_SIZE], registers[2][256];
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
    memset(registers, 0, sizeof registers);
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
    memset(registers[board & 1], 0, sizeof registers[0]);
    registers[board & 1][0] = 0x11; /* asleep */
}
void host_set_parts(uint8_t working) { parts = working; }

size_t host_sent(uint8_t *bytes, size_t most) {
    size_t count = tx_count < most ? tx_count : most;
    memcpy(bytes, tx, count);
    tx_count = 0;
    return count;
}

bool host_outputs(void) { return outputs; }

uint16_t host_counts(uint8_t channel) {
    const uint8_t *at = registers[channel / 16] + 6 + 4 * (channel % 16);
    if (at[3] & 0x10 || registers[channel / 16][0] & 0x10) return 0; /* off, or asleep */
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

bool hal_bus_write(uint8_t address, const uint8_t *bytes, uint8_t count) {
    uint8_t board = address - 0x40;
    if (board > 1 || !(boards >> board & 1)) return false;
    for (uint8_t i = 1; i < count; i++) store(board, (uint8_t)(bytes[0] + i - 1), bytes[i]);
    return true;
}

bool hal_bus_read(uint8_t address, uint8_t where, uint8_t *value) {
    uint8_t board = address - 0x40;
    if (board > 1 || !(boards >> board & 1)) return false;
    *value = registers[board][where];
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
void hal_eeprom_write(uint16_t address, uint8_t value) { eeprom[address] = value; }
void hal_feed_watchdog(void) { fed++; }
void hal_sleep(void) {}
