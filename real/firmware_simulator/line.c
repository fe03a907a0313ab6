#include "line.h"

#include <stdlib.h>
#include <string.h>

#define FRAME_BITS 10

static struct sent *at(struct line *line, size_t i) { return &line->queue[line->first + i]; }

static void grow(struct line *line) {
    if (line->first + line->count < line->room) return;
    if (line->first > line->room / 2) {
        memmove(line->queue, at(line, 0), line->count * sizeof *line->queue);
        line->first = 0;
        return;
    }
    line->room = line->room ? 2 * line->room : 1024;
    line->queue = realloc(line->queue, line->room * sizeof *line->queue);
    if (!line->queue) abort();
}

void line_put(struct line *line, double now, uint8_t byte) {
    double start = line->free > now ? line->free : now;
    grow(line);
    line->queue[line->first + line->count++] = (struct sent){start, byte};
    line->free = start + FRAME_BITS * line->sender;
}

static int bit_of(uint8_t byte, int bit) { return bit == 0 ? 0 : bit <= 8 ? byte >> (bit - 1) & 1 : 1; }

static int level(struct line *line, double time) {
    for (size_t i = 0; i < line->count && at(line, i)->start <= time; i++) {
        int bit = (int)((time - at(line, i)->start) / line->sender);
        if (bit < FRAME_BITS) return bit_of(at(line, i)->byte, bit);
    }
    return 1;
}

/* First time in a byte, from `from` on, at which the line falls; negative: none. */
static double fall(struct line *line, struct sent *sent, double from) {
    for (int bit = 0; bit < 9; bit++) {
        double when = sent->start + bit * line->sender;
        if (when < from || bit_of(sent->byte, bit)) continue;
        if (bit == 0 || bit_of(sent->byte, bit - 1)) return when;
    }
    return -1;
}

static void forget(struct line *line) {
    while (line->count && at(line, 0)->start + FRAME_BITS * line->sender < line->ready) {
        line->first++;
        line->count--;
    }
}

/* Where the start bit of the next received byte begins; negative: nowhere yet. */
static double start_bit(struct line *line) {
    forget(line);
    for (size_t i = 0; i < line->count; i++) {
        double when = fall(line, at(line, i), line->ready);
        if (when >= 0) return when;
    }
    return -1;
}

bool line_next(struct line *line, double *when) {
    double start = start_bit(line);
    *when = start + (FRAME_BITS - 0.5) * line->receiver;
    return start >= 0;
}

uint16_t line_take(struct line *line) {
    double start = start_bit(line);
    uint16_t byte = 0;
    for (int bit = 0; bit < 8; bit++)
        byte |= (uint16_t)(level(line, start + (bit + 1.5) * line->receiver) << bit);
    line->ready = start + (FRAME_BITS - 0.5) * line->receiver;
    return byte | (level(line, line->ready) ? 0 : FRAMING_ERROR);
}

void line_cut(struct line *line, double now) {
    line->first = line->count = 0;
    line->free = line->ready = now;
}
