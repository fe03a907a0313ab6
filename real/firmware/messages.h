/* Executes messages and answers them. */
#ifndef MESSAGES_H
#define MESSAGES_H

#include <stdbool.h>
#include <stdint.h>

void messages_start(void);

/* False if there is no such message, or it has another length. */
bool handle_message(uint8_t type, uint32_t sequence, const uint8_t *payload, uint8_t length);

#endif
