/* The two PCA9685: channels 0 to 15 on the first, the rest on the second. */
#ifndef PCA9685_H
#define PCA9685_H

#include <stdbool.h>

/* Frees the bus; all off, 50 Hz, awake. These return false if a board does not answer. */
bool pca9685_start(void);
bool pca9685_off(void);
/* Writes the pulses of motion.h. */
bool pca9685_write(void);
/* Whether both are as they were started. */
bool pca9685_awake(void);

#endif
