#include "loop.h"

#include "board.h"
#include "frames.h"
#include "hal.h"
#include "messages.h"
#include "store.h"

/* Most bytes in a round, so that a babbling line cannot hold up the rest. More than arrive while pulses are written. */
#define BYTES_MOST 255

/* Parts that must have run before the watchdog is fed: a timer or an ADC that stands still resets the board as well. */
enum part { RECEIVED = 1, MOVED = 2, MEASURED = 4, STORED = 8, ALL = 15 };

static uint8_t parts;
static uint16_t worst;
static uint32_t move_at;

uint16_t loop_worst(void) { return worst; }

void loop_start(void) {
    parts = 0;
    worst = 0;
    hal_start();
    frames_start();
    messages_start();
    store_start();
    board_start();
    move_at = hal_millis();
}

static void receive(void) {
    int16_t byte;
    for (uint8_t i = 0; i < BYTES_MOST && (byte = hal_receive()) >= 0; i++) frames_take((uint8_t)byte);
    parts |= RECEIVED;
}

static void move(void) {
    if (hal_millis() - move_at < PERIOD_MS) return;
    move_at = hal_millis(); /* never catches up: two moves in one period would be twice the slew */
    board_move();
    parts |= MOVED;
}

static void measure(void) {
    uint16_t millivolts;
    if (!hal_supply(&millivolts)) return;
    board_supply(millivolts);
    parts |= MEASURED;
}

static void store(void) {
    store_step();
    parts |= STORED;
}

static void feed(void) {
    if (parts != ALL) return;
    hal_feed_watchdog();
    parts = 0;
}

void loop_once(void) {
    uint16_t began = hal_micros();
    receive();
    board_watch();
    measure();
    move();
    board_write();
    store();
    feed();
    uint16_t took = (hal_micros() - began) & HAL_MICROS_MASK;
    if (took > worst) worst = took;
    hal_sleep();
}
