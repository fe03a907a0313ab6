#include "motion.h"

#include "protocol.h"
#include "table.h"

#define FULL 4096 /* a whole travel, as a share */

static struct limits limits[CHANNELS];
static uint16_t aim[CHANNELS], out[CHANNELS];

struct limits *motion_limits(uint8_t channel) { return &limits[channel]; }

uint16_t motion_pulse(uint8_t channel) { return out[channel]; }

void motion_start(uint8_t channel) { aim[channel] = out[channel] = limits[channel].rest; }

void motion_limp(uint8_t channel) { aim[channel] = out[channel] = 0; }

bool motion_aim(uint8_t channel, uint16_t pulse) {
    const struct limits *l = &limits[channel];
    aim[channel] = pulse < l->low ? l->low : pulse > l->high ? l->high : pulse;
    return aim[channel] != pulse;
}

void motion_hold(void) {
    for (uint8_t c = 0; c < CHANNELS; c++) aim[c] = out[c];
}

/* A channel pulls from its rest to its far end: the limit that is farther from rest. */
static bool far_is_high(const struct limits *l) { return l->high - l->rest >= l->rest - l->low; }

static uint16_t travel(const struct limits *l) { return far_is_high(l) ? l->high - l->rest : l->rest - l->low; }

static uint16_t pull(const struct limits *l, uint16_t pulse) {
    if (pulse == 0) return 0;
    if (far_is_high(l)) return pulse > l->rest ? pulse - l->rest : 0;
    return pulse < l->rest ? l->rest - pulse : 0;
}

static uint16_t pulling(const struct limits *l, uint16_t pull) {
    return far_is_high(l) ? l->rest + pull : l->rest - pull;
}

/* How much of its travel a channel pulls, rounded up so that a sum is never taken for less than it is. */
static uint16_t share(uint8_t channel, uint16_t pulse) {
    const struct limits *l = &limits[channel];
    uint16_t whole = travel(l);
    return whole ? (uint16_t)(((uint32_t)pull(l, pulse) * FULL + whole - 1) / whole) : 0;
}

/* True for the first channel of each exclusion pair, with its partner and their limit. */
static bool pair(uint8_t channel, uint8_t *partner, uint16_t *limit) {
    struct row row = table_row(channel);
    *partner = row.partner;
    *limit = row.limit * (FULL / 64);
    return row.partner != NO_PARTNER && channel < row.partner;
}

/* Two less than the limit, because both shares are rounded up: an aim beyond it would never be reached. */
static void scale(uint8_t channel, uint16_t limit, uint16_t sum) {
    const struct limits *l = &limits[channel];
    uint16_t now = pull(l, aim[channel]);
    if (now) aim[channel] = pulling(l, (uint16_t)((uint32_t)now * (limit - 2) / sum));
}

bool motion_exclude(void) {
    bool beyond = false;
    uint8_t other;
    uint16_t limit;
    for (uint8_t c = 0; c < CHANNELS; c++) {
        if (!pair(c, &other, &limit)) continue;
        uint16_t sum = share(c, aim[c]) + share(other, aim[other]);
        if (sum <= limit) continue;
        scale(c, limit, sum);
        scale(other, limit, sum);
        beyond = true;
    }
    return beyond;
}

static uint16_t toward(uint8_t channel) {
    uint16_t from = out[channel], to = aim[channel], most = limits[channel].slew;
    if (to > from) return to - from > most ? from + most : to;
    return from - to > most ? from - most : to;
}

/* If one cable of a pair is faster, the way between two allowed aims may exceed the limit: the one that pulls more waits. */
static void wait_for_partner(uint16_t *next) {
    uint8_t other;
    uint16_t limit;
    for (uint8_t c = 0; c < CHANNELS; c++) {
        if (!pair(c, &other, &limit) || share(c, next[c]) + share(other, next[other]) <= limit) continue;
        if (share(c, next[c]) > share(c, out[c])) next[c] = out[c];
        if (share(other, next[other]) > share(other, out[other])) next[other] = out[other];
    }
}

void motion_step(void) {
    uint16_t next[CHANNELS];
    for (uint8_t c = 0; c < CHANNELS; c++) next[c] = toward(c);
    wait_for_partner(next);
    for (uint8_t c = 0; c < CHANNELS; c++) out[c] = next[c];
}
