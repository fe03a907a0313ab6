#include "pca9685.h"

#include <math.h>
#include <string.h>

#define MODE1 0x00
#define MODE2 0x01
#define SLEEP 0x10
#define INCREMENT 0x20
#define FIRST 0x06   /* of four registers for each output: ON low, ON high, OFF low, OFF high */
#define ALL 0xFA     /* the same four for all outputs */
#define PRESCALE 0xFE
#define FULL 0x10    /* in ON high or OFF high: fully on or off */
#define COUNTS 4096

void pca9685_reset(struct pca9685 *board) {
    memset(board->reg, 0, sizeof board->reg);
    board->reg[MODE1] = SLEEP | 0x01;
    board->reg[MODE2] = 0x04;
    board->reg[PRESCALE] = 0x1E;
    for (int output = 0; output < OUTPUTS; output++) board->reg[FIRST + 4 * output + 3] = FULL;
    board->addressed = board->reading = false;
    pca9685_stop(board);
}

void pca9685_stop(struct pca9685 *board) { memcpy(board->out, board->reg, sizeof board->out); }

bool pca9685_address(struct pca9685 *board, uint8_t byte, uint8_t own) {
    board->addressed = byte >> 1 == own && !board->silent;
    board->reading = board->addressed && byte & 1;
    board->pointed = false;
    return board->addressed;
}

static void store(struct pca9685 *board, uint8_t where, uint8_t value) {
    if (where == PRESCALE && (!(board->reg[MODE1] & SLEEP) || value < 3)) return;
    board->reg[where] = value;
    if (where < ALL || where >= ALL + 4) return;
    for (int output = 0; output < OUTPUTS; output++) board->reg[FIRST + 4 * output + where - ALL] = value;
}

bool pca9685_byte(struct pca9685 *board, uint8_t byte) {
    if (!board->addressed || board->silent) return false;
    if (!board->pointed) {
        board->pointed = true;
        board->pointer = byte;
        return true;
    }
    store(board, board->pointer, byte);
    if (board->reg[MODE1] & INCREMENT) board->pointer++;
    return true;
}

uint8_t pca9685_tell(struct pca9685 *board) {
    uint8_t byte = board->reg[board->pointer];
    if (board->reg[MODE1] & INCREMENT) board->pointer++;
    return byte;
}

double pca9685_pulse(const struct pca9685 *board, uint8_t output) {
    const uint8_t *at = board->out + FIRST + 4 * output;
    int on = at[0] | (at[1] & 0x0F) << 8, off = at[2] | (at[3] & 0x0F) << 8;
    double count = (board->out[PRESCALE] + 1) / board->oscillator;
    if (board->out[MODE1] & SLEEP || at[3] & FULL) return NAN;
    if (at[1] & FULL) return 1e6 * COUNTS * count;
    return on == off ? NAN : 1e6 * ((off - on + COUNTS) % COUNTS) * count;
}
