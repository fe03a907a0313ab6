/* Where the pulses are and where they go: limits, slew, exclusion. Pulses in quarters of a microsecond, 0 is limp. */
#ifndef MOTION_H
#define MOTION_H

#include <stdbool.h>
#include <stdint.h>

#include "limits.h"

/* Calibrated limits now in force; store.c fills them. */
struct limits *motion_limits(uint8_t channel);

/* Whether a pulse comes out, and which. */
uint16_t motion_pulse(uint8_t channel);

/* Starts a limp channel at its rest; makes a channel limp. */
void motion_start(uint8_t channel);
void motion_limp(uint8_t channel);

/* Where a channel that is out shall go. True if that is beyond its limits, so that it goes to the limit. */
bool motion_aim(uint8_t channel, uint16_t pulse);

/* Brings the aims of all exclusion pairs within their limits. True if any was beyond. */
bool motion_exclude(void);

/* Aims where the pulses are now. */
void motion_hold(void);

/* One period: every pulse goes towards its aim, at most by its slew. */
void motion_step(void);

#endif
