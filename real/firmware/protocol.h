/* The wire protocol in numbers, as docs/protocol.md has it. */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#define PROTOCOL_VERSION 2
#define FIRMWARE_MAJOR 2
#define FIRMWARE_MINOR 0

#define FRAME_MAX 128   /* bytes of a decoded frame */
#define FRAME_HEAD 5    /* type and sequence number */
#define FRAME_HEAD_OLD 3 /* the same of HELLO and IDENT, which look as in version 1: a host of any version learns which */
#define FRAME_CRC 2
#define PAYLOAD_MAX (FRAME_MAX - FRAME_HEAD - FRAME_CRC)
#define CHIP_SIZE 16    /* characters of the microcontroller's name */

#define CLEAR_KEY 0x5241454CUL
#define NO_PARTNER 255

enum message {
    HELLO = 0x01, TARGETS, ARM, DISARM, STOP, CLEAR, LIMITS, COMMIT, QUERY, READ,
    IDENT = 0x81, STATUS = 0x82, CHANNEL = 0x8A
};

enum answer { TAKEN, WRONG_SESSION, STALE, WRONG_STATE, BAD_VALUE, NOT_CALIBRATED, BAD_SUPPLY };

enum state { LIMP, ARMING, ACTIVE, HOLD, STOPPED, FAULT };

enum fault {
    FAULT_SUPPLY = 1 << 0,
    FAULT_BUS = 1 << 1,
    FAULT_WATCHDOG = 1 << 2,
    FAULT_SILENCE = 1 << 3,
    FAULT_UNCALIBRATED = 1 << 4,
    FAULT_CLAMPED = 1 << 5,
    FAULT_OVERVOLTAGE = 1 << 6
};

#endif
