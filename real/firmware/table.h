/* What no calibration may exceed, and the timing. Made from assets/face.toml and assets/robot.toml by
 * python -m tools.build_table: do not edit. Pulses in quarters of a microsecond, slew in those per period. */
#ifndef TABLE_H
#define TABLE_H

#define TABLE_CRC 0x19D4E53EUL
#define CHANNELS 25
#define ARM_GROUPS 4
#define BAUD 500000UL
#define PERIOD_MS 20
#define HOLD_MS 200
#define LIMP_MS 1000
#define SUPPLY_LOW_MV 4500
#define SUPPLY_HIGH_MV 6500
#define SUPPLY_SAG_MS 60
#define SUPPLY_RECOVERY 8
#define ARM_GAP_MS 100

/* low, high, rest, slew, arming group, exclusion partner, exclusion limit [1/64] */
#define TABLE_ROWS(ROW) \
    ROW(2600, 9400, 3200, 407, 3, 255, 0) /* brow_inner_left */ \
    ROW(2600, 9400, 8800, 407, 3, 255, 0) /* brow_inner_right */ \
    ROW(2600, 9400, 3200, 407, 3, 4, 96) /* brow_outer_left */ \
    ROW(2600, 9400, 8800, 407, 3, 5, 96) /* brow_outer_right */ \
    ROW(2600, 9400, 3200, 407, 3, 2, 96) /* corrugator_left */ \
    ROW(2600, 9400, 8800, 407, 3, 3, 96) /* corrugator_right */ \
    ROW(2600, 9400, 3200, 553, 3, 255, 0) /* levator_left */ \
    ROW(2600, 9400, 8800, 553, 3, 255, 0) /* levator_right */ \
    ROW(2600, 9400, 3200, 407, 3, 10, 76) /* zygomaticus_left */ \
    ROW(2600, 9400, 8800, 407, 3, 11, 76) /* zygomaticus_right */ \
    ROW(2600, 9400, 3200, 553, 3, 8, 76) /* depressor_left */ \
    ROW(2600, 9400, 8800, 553, 3, 9, 76) /* depressor_right */ \
    ROW(4600, 8200, 5200, 738, 1, 255, 0) /* jaw */ \
    ROW(4200, 7800, 6000, 545, 2, 255, 0) /* eye_left_yaw */ \
    ROW(4200, 7800, 6000, 545, 2, 255, 0) /* eye_left_pitch */ \
    ROW(4200, 7800, 6000, 545, 2, 255, 0) /* eye_right_yaw */ \
    ROW(4200, 7800, 6000, 545, 2, 255, 0) /* eye_right_pitch */ \
    ROW(3800, 7800, 6517, 615, 2, 255, 0) /* lid_left */ \
    ROW(3800, 7800, 5083, 615, 2, 255, 0) /* lid_right */ \
    ROW(3400, 8600, 6000, 267, 0, 255, 0) /* neck_leg_1 */ \
    ROW(3400, 8600, 6000, 267, 0, 255, 0) /* neck_leg_2 */ \
    ROW(3400, 8600, 6000, 267, 0, 255, 0) /* neck_leg_3 */ \
    ROW(3400, 8600, 6000, 267, 0, 255, 0) /* neck_leg_4 */ \
    ROW(3400, 8600, 6000, 267, 0, 255, 0) /* neck_leg_5 */ \
    ROW(3400, 8600, 6000, 267, 0, 255, 0) /* neck_leg_6 */

#endif
