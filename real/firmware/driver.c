/* Drives the core from text, for tests. Lines in: reset CAUSE, erase, rx HEX, run MS, supply MV, boards BITS, cut BOARD,
 * flip BITS, spoil ADDRESS of EEPROM, parts BITS. After each comes one line: bytes sent in hex (or -), /OE enabled, times the watchdog was fed, counts of all channels. */
#include <stdio.h>
#include <string.h>

#include "hal_host.h"
#include "loop.h"
#include "table.h"

#define LINE 16384

static void receive(const char *hex) {
    unsigned value;
    for (; sscanf(hex, "%2x", &value) == 1; hex += 2) host_feed(&(uint8_t){(uint8_t)value}, 1);
}

static void run(int milliseconds) {
    while (milliseconds--) {
        host_tick();
        loop_once();
    }
}

static void tell(void) {
    static uint8_t bytes[LINE / 4];
    size_t count = host_sent(bytes, sizeof bytes);
    if (!count) printf("-");
    for (size_t i = 0; i < count; i++) printf("%02x", bytes[i]);
    printf(" %d %u", host_outputs(), host_fed());
    for (uint8_t c = 0; c < CHANNELS; c++) printf(" %u", host_counts(c));
    printf("\n");
    fflush(stdout);
}

static int obey(const char *word, const char *value) {
    int number = 0;
    sscanf(value, "%d", &number);
    if (!strcmp(word, "reset")) host_reset((uint8_t)number), loop_start();
    else if (!strcmp(word, "erase")) host_erase();
    else if (!strcmp(word, "rx")) receive(value);
    else if (!strcmp(word, "run")) run(number);
    else if (!strcmp(word, "supply")) host_set_supply((uint16_t)number);
    else if (!strcmp(word, "boards")) host_set_boards((uint8_t)number);
    else if (!strcmp(word, "cut")) host_cut_board((uint8_t)number);
    else if (!strcmp(word, "flip")) host_flip(number);
    else if (!strcmp(word, "spoil")) host_spoil((uint16_t)number);
    else if (!strcmp(word, "parts")) host_set_parts((uint8_t)number);
    else return 1;
    return 0;
}

int main(void) {
    static char line[LINE], word[16], value[LINE];
    while (fgets(line, sizeof line, stdin)) {
        value[0] = 0;
        if (sscanf(line, "%15s %16383s", word, value) < 1 || obey(word, value)) return 1;
        tell();
    }
    return 0;
}
