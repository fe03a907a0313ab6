#include "store.h"

#include <string.h>

#include "bytes.h"
#include "crc.h"
#include "hal.h"
#include "motion.h"
#include "table.h"

/* Where things lie, in EEPROM and in its image here. */
#define ID 0
#define ID_CRC (ID + ID_SIZE)
#define SESSIONS (ID_CRC + 2) /* two copies, since power may go while one is written */
#define SESSIONS_SIZE 6       /* number and CRC */
#define CALIBRATION (SESSIONS + 2 * SESSIONS_SIZE)
#define LIMITS_AT (CALIBRATION + 4)
#define LIMITS_SIZE 8
#define CALIBRATION_CRC (LIMITS_AT + CHANNELS * LIMITS_SIZE)
#define SIZE (CALIBRATION_CRC + 2)
_Static_assert(SIZE <= HAL_EEPROM_SIZE, "EEPROM is too small");

#define NOISY_BYTES 64
#define BLOCK 256 /* session numbers that are kept as used at once */

static uint8_t image[SIZE];
static uint16_t next = SIZE; /* byte of the image to compare with EEPROM */
static uint32_t in_force;
static uint32_t session;  /* the last one that was given out */
static uint32_t reserved; /* the last one that the image keeps as used */
static uint32_t granted;  /* the same of EEPROM */
static uint8_t newest;    /* copy of the two */
static bool lost;         /* whether the other copy was damaged and may have been the newer one */

static uint16_t crc_of(uint16_t from, uint16_t to) { return crc16(CRC_START, image + from, to - from); }

static bool sealed(uint16_t from, uint16_t seal) { return get16(image + seal) == crc_of(from, seal); }

static void seal(uint16_t from, uint16_t at) {
    put16(image + at, crc_of(from, at));
    next = 0;
}

/* Four CRCs of noise from different starts: no byte of noise is lost on its way into the id. */
static void make_id(void) {
    uint8_t noise[NOISY_BYTES];
    for (uint8_t i = 0; i < NOISY_BYTES; i++) noise[i] = hal_noise();
    for (uint8_t i = 0; i < ID_SIZE; i += 2) put16(image + ID + i, crc16((uint16_t)(CRC_START - i), noise + 16 * (i / 2), 16));
    seal(ID, ID_CRC);
}

/* Keeps the next block as used, in the older copy. */
static void reserve(void) {
    newest = !newest;
    uint16_t at = SESSIONS + newest * SESSIONS_SIZE;
    reserved += BLOCK;
    put32(image + at, reserved);
    seal(at, at + 4);
}

static bool copy_of(uint8_t which, uint32_t *number) {
    uint16_t at = SESSIONS + which * SESSIONS_SIZE;
    *number = get32(image + at);
    return sealed(at, at + 4);
}

/* No number comes twice: after a reset they begin beyond all that were ever granted. The copies are always one block
 * apart, so a lost one is written anew with the most it may have had, before the next block is kept. Without any the chip
 * was erased: noise, so that the numbers of its earlier life hardly return. */
static void start_sessions(void) {
    uint32_t number[2];
    bool known[2] = {copy_of(0, &number[0]), copy_of(1, &number[1])};
    newest = known[1] && (!known[0] || number[1] > number[0]);
    reserved = known[newest] ? number[newest] : (uint32_t)(hal_noise() & 0x7F) << 24 | (uint32_t)hal_noise() << 16;
    lost = !known[!newest];
    session = granted = reserved;
    reserve();
}

void store_start(void) {
    next = SIZE;
    while (!hal_eeprom_ready()) {} /* a write goes on through a reset */
    for (uint16_t i = 0; i < SIZE; i++) image[i] = hal_eeprom_read(i);
    if (!sealed(ID, ID_CRC)) make_id();
    start_sessions();
    store_restore();
}

/* EEPROM has both copies. */
static void grant(void) {
    granted = reserved;
    if (!lost) return;
    lost = false;
    session = granted;
    reserve();
}

void store_step(void) {
    if (!hal_eeprom_ready()) return;
    for (uint8_t tries = 8; tries && next < SIZE; tries--, next++) {
        if (hal_eeprom_read(next) == image[next]) continue;
        hal_eeprom_write(next, image[next]);
        return; /* the same byte is read again, so what did not take is written again */
    }
    if (next >= CALIBRATION && granted != reserved) grant();
}

const uint8_t *store_id(void) { return image + ID; }

uint32_t store_next_session(void) {
    if (session == granted) return 0;
    if (++session == granted) reserve();
    return session;
}

uint32_t store_calibration(void) { return in_force; }

/* EEPROM itself is read, not its image: a worn byte does not take, and a write takes a while. */
uint32_t store_kept(void) {
    if (!hal_eeprom_ready()) return 0;
    for (uint16_t i = CALIBRATION; i < SIZE; i++)
        if (hal_eeprom_read(i) != image[i]) return 0;
    return in_force;
}

void store_changed(void) { in_force = 0; }

static void read_limits(uint8_t channel, struct limits *l) {
    const uint8_t *at = image + LIMITS_AT + channel * LIMITS_SIZE;
    l->low = get16(at);
    l->high = get16(at + 2);
    l->rest = get16(at + 4);
    l->slew = get16(at + 6);
}

static void write_limits(uint8_t channel, const struct limits *l) {
    uint8_t *at = image + LIMITS_AT + channel * LIMITS_SIZE;
    put16(put16(put16(put16(at, l->low), l->high), l->rest), l->slew);
}

/* A calibration also has to be within flash, which may be newer. */
static bool readable(void) {
    if (!sealed(CALIBRATION, CALIBRATION_CRC)) return false;
    for (uint8_t c = 0; c < CHANNELS; c++) {
        struct limits l;
        read_limits(c, &l);
        if (!limits_allowed(c, &l)) return false;
    }
    return true;
}

void store_restore(void) {
    in_force = readable() ? get32(image + CALIBRATION) : 0;
    for (uint8_t c = 0; c < CHANNELS; c++) {
        if (in_force) read_limits(c, motion_limits(c));
        else memset(motion_limits(c), 0, sizeof(struct limits));
    }
}

void store_keep(uint32_t calibration) {
    for (uint8_t c = 0; c < CHANNELS; c++) write_limits(c, motion_limits(c));
    put32(image + CALIBRATION, calibration);
    seal(CALIBRATION, CALIBRATION_CRC);
    in_force = calibration;
}
