/* Runs the firmware in virtual time, as commanded on stdin, or in real time on a pseudo-terminal. See README.md. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "chip.h"

#define PCA9685_HERTZ 25e6
#define SLICE (HERTZ / 500)     /* of real time: 2 ms */
#define REPORT_AFTER (HERTZ / 50) /* longest time without a report: 20 ms */
#define CHUNK 4096

static const char *eeprom_file;
static int terminal = -1; /* our end of the pseudo-terminal */
static FILE *answers;      /* what stdout was: simavr may print there */

static void end(int code) {
    if (eeprom_file && !chip_save_eeprom(eeprom_file)) fprintf(stderr, "cannot write %s\n", eeprom_file);
    exit(code);
}

static void need(void *to, size_t size) {
    if (fread(to, 1, size, stdin) != size) end(0); /* the host process is gone */
}

static void put(const void *from, size_t size) {
    if (fwrite(from, 1, size, answers) != size) end(1);
}

/* All bytes that the host has received by now. */
static size_t collect(uint8_t **bytes) {
    static uint8_t *buffer;
    static size_t room;
    size_t count = 0;
    double when;
    while (line_next(&chip.out, &when) && when <= (double)chip.avr->cycle) {
        if (count == room) buffer = realloc(buffer, room = room ? 2 * room : CHUNK);
        if (!buffer) abort();
        buffer[count++] = (uint8_t)line_take(&chip.out);
    }
    *bytes = buffer;
    return count;
}

static void put_events(void) {
    for (size_t i = 0; i < chip.event_count; i++) {
        put(&chip.events[i].cycle, 8);
        put(&chip.events[i].channel, 1);
        put(&chip.events[i].width, 8);
    }
    chip.event_count = 0;
}

static void report(const uint8_t *bytes, size_t count) {
    uint64_t head[2] = {chip.avr->cycle, chip.asleep};
    uint32_t counts[2] = {(uint32_t)count, (uint32_t)chip.event_count};
    put(head, sizeof head);
    put(counts, sizeof counts);
    put(bytes, count);
    put_events();
    fflush(answers);
}

static void type(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) line_put(&chip.in, (double)chip.avr->cycle, bytes[i]);
    uart_listen();
}

static void run(void) {
    uint64_t until;
    uint32_t count;
    uint8_t *bytes;
    need(&until, 8);
    need(&count, 4);
    bytes = malloc(count + 1);
    if (!bytes) abort();
    need(bytes, count);
    type(bytes, count);
    free(bytes);
    chip_run(until);
    size_t sent = collect(&bytes);
    report(bytes, sent);
}

static void break_bus(uint8_t how) {
    chip.board[0].silent = how & 1;
    chip.board[1].silent = how & 2;
    chip.stuck = how & 4;
    chip.held = how & 8 ? 9 : 0;
    for (int b = 0; b < 2; b++)
        if (how >> b & 0x10) chip_cut(b);
}

static void obey(char command) {
    uint32_t number = 0;
    if (strchr("SBLF", command)) need(&number, 4);
    switch (command) {
        case 'R': run(); break;
        case 'S': chip_supply(number); break;
        case 'B': break_bus((uint8_t)number); break;
        case 'F': chip.flip = number; break;
        case 'L': chip_baud(number); break;
        case 'H': chip_hang(); break;
        case 'P': chip_power_cycle(); break;
        case 'U': chip_unplug(); break;
        default: fprintf(stderr, "unknown command %c\n", command); end(1);
    }
}

static void open_terminal(void) {
    struct termios raw;
    terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (terminal < 0 || grantpt(terminal) || unlockpt(terminal)) {
        perror("pseudo-terminal");
        end(1);
    }
    const char *name = ptsname(terminal);
    int other = open(name, O_RDWR | O_NOCTTY); /* kept open, so that it stays when another program closes it */
    if (other < 0 || tcgetattr(other, &raw)) end(1);
    cfmakeraw(&raw);
    tcsetattr(other, TCSANOW, &raw);
    uint32_t length = (uint32_t)strlen(name);
    put(&length, 4);
    put(name, length);
    fflush(answers);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Commands that are there; stdin is unbuffered in real time, so that poll tells the truth. */
static void obey_waiting(int milliseconds) {
    struct pollfd in = {.fd = 0, .events = POLLIN};
    while (poll(&in, 1, milliseconds) > 0) {
        char command;
        need(&command, 1);
        obey(command);
        milliseconds = 0;
    }
}

static void exchange(void) {
    static uint64_t reported;
    uint8_t bytes[CHUNK], *sent;
    ssize_t got = read(terminal, bytes, sizeof bytes);
    if (got > 0) type(bytes, (size_t)got);
    size_t count = collect(&sent);
    ssize_t put_count = write(terminal, sent, count); /* bytes are lost if no program reads the terminal */
    (void)put_count;
    if (chip.event_count || chip.avr->cycle - reported >= REPORT_AFTER) {
        report(NULL, 0); /* each wakes the host */
        reported = chip.avr->cycle;
    }
}

static void run_realtime(void) {
    double began = seconds() - (double)chip.avr->cycle / HERTZ;
    for (;;) {
        double ahead = (double)chip.avr->cycle / HERTZ - (seconds() - began);
        if (ahead < -0.1) began -= ahead; /* a machine that is too slow gets a slower robot */
        obey_waiting(ahead > 0 ? (int)(1000 * ahead) : 0);
        chip_run(chip.avr->cycle + SLICE);
        exchange();
        if (chip.crashed) end(1);
    }
}

static void run_lockstep(void) {
    for (;;) {
        char command;
        need(&command, 1);
        obey(command);
        if (chip.crashed) {
            fprintf(stderr, "the simulated processor crashed at pc %x\n", chip.avr->pc);
            end(1);
        }
    }
}

static void usage(void) {
    fprintf(stderr, "simulator FIRMWARE.elf [--eeprom FILE] [--seed N] [--oscillators E0,E1] [--baud B] [--pty]\n");
    exit(2);
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"eeprom", 1, 0, 'e'}, {"seed", 1, 0, 's'}, {"oscillators", 1, 0, 'o'},
                                            {"baud", 1, 0, 'b'},   {"pty", 0, 0, 'p'},  {0, 0, 0, 0}};
    double error[2] = {0, 0}, baud = 500000;
    unsigned long long seed = 0;
    bool pty = false;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'e') eeprom_file = optarg;
        else if (o == 's') seed = strtoull(optarg, NULL, 10);
        else if (o == 'o') { if (sscanf(optarg, "%lf,%lf", &error[0], &error[1]) != 2) usage(); }
        else if (o == 'b') baud = atof(optarg);
        else if (o == 'p') pty = true;
        else usage();
    }
    if (optind != argc - 1 || baud <= 0) usage();
    for (int b = 0; b < 2; b++) chip.board[b].oscillator = PCA9685_HERTZ * (1 + error[b]);
    chip_baud(baud);
    chip.in.receiver = chip.out.sender = HERTZ / baud;
    if (pty) setvbuf(stdin, NULL, _IONBF, 0);
    answers = fdopen(dup(1), "wb");
    if (!answers || dup2(2, 1) < 0) return 1;
    chip_start(argv[optind], seed);
    if (eeprom_file) chip_load_eeprom(eeprom_file);
    if (pty) open_terminal();
    if (pty) run_realtime();
    run_lockstep();
}
