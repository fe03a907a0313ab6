/* One round of everything. */
#ifndef LOOP_H
#define LOOP_H

#include <stdint.h>

void loop_start(void);
void loop_once(void);

/* Longest round since the reset [us]. */
uint16_t loop_worst(void);

#endif
