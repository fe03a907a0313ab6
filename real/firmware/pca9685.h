/* The two PCA9685: channels 0 to 15 on the first, the rest on the second. */
#ifndef PCA9685_H
#define PCA9685_H

#include <stdbool.h>
#include <stdint.h>

/* Frees the bus; all off, 50 Hz, awake. These return false if a board does not answer. */
bool pca9685_start(void);
bool pca9685_off(void);
/* Whether both are as they were started; pca9685_step looks as well. */
bool pca9685_awake(void);

enum writing { NOTHING, WRITING, READY, FAILED };

/* Takes the pulses of motion.h. */
void pca9685_begin(void);
/* Whether pulses that it took have not come out yet. */
bool pca9685_waits(void);
/* One of the transfers that it takes until both boards are known to hold them, so that a message waits for one at most. */
enum writing pca9685_step(void);
/* Puts them out, once they are READY. */
bool pca9685_show(void);
/* How often pulses had to be written again since the reset; stays at 65535. */
uint16_t pca9685_repeats(void);

#endif
