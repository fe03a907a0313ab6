/* One direction of a serial line as bits in time, so that a receiver at another speed reads what it really would. */
#ifndef LINE_H
#define LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAMING_ERROR 0x100

struct sent {
    double start; /* of the start bit [cycles] */
    uint8_t byte;
};

struct line {
    double sender, receiver; /* length of their bits [cycles] */
    double free, ready;      /* when the sender may send, the receiver look for a start bit, next */
    struct sent *queue;
    size_t first, count, room;
};

/* Puts a byte on the line as soon as it is free. */
void line_put(struct line *line, double now, uint8_t byte);

/* When the receiver will have the next byte; false if it sees no start bit. */
bool line_next(struct line *line, double *when);

/* That byte, with FRAMING_ERROR if its stop bit was low. Only once `when` has come. */
uint16_t line_take(struct line *line);

/* The plug is pulled: what was not received yet is lost. */
void line_cut(struct line *line, double now);

#endif
