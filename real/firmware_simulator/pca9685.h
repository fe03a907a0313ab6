/* A PCA9685 as its registers make it: 16 outputs, sleep, full off, prescaler, auto-increment. */
#ifndef PCA9685_H
#define PCA9685_H

#include <stdbool.h>
#include <stdint.h>

#define OUTPUTS 16

struct pca9685 {
    uint8_t reg[256], pointer;
    uint8_t out[256];        /* the registers as of the last stop, which make the pulses */
    bool addressed, pointed; /* since the last start: was it meant, and does it have its register number */
    bool reading;            /* is it to tell bytes, not to take them */
    bool silent;             /* does not answer */
    double oscillator;       /* Hz */
};

void pca9685_reset(struct pca9685 *board);

/* The bus. Whether it acknowledges. */
bool pca9685_address(struct pca9685 *board, uint8_t byte, uint8_t own);
bool pca9685_byte(struct pca9685 *board, uint8_t byte);
/* What a board that was asked tells next. */
uint8_t pca9685_tell(struct pca9685 *board);

/* The stop of a transfer, at which outputs change. */
void pca9685_stop(struct pca9685 *board);

/* Pulse of an output [us]; NaN if it gives none. */
double pca9685_pulse(const struct pca9685 *board, uint8_t output);

#endif
