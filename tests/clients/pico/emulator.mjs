// The Pico's firmware on rp2040js, driven by text as real/firmware/driver.c is: node emulator.mjs FOLDER_OF_RP2040JS FIRMWARE.uf2
// More lines in: hang (the processor), hold 0|1 (the bus's clock). One more number out, last: erases of flash.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

import { Flash } from "./flash.mjs";
import { Bus } from "./pca9685.mjs";
import { Serial } from "./serial.mjs";

const { RP2040, ConsoleLogger, LogLevel } = await import(pathToFileURL(`${process.argv[2]}/dist/esm/index.js`));

const CPU_HZ = 48e6, BAUD = 500000, FULL_SCALE_MV = 10560, OE = 6;
const POWER = 1 << 8, RUN_PIN = 1 << 16;
const STOPPED = [0xfe, 0xe7]; // a branch to itself

let seed = 1;
const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;

const flash = new Flash(), bus = new Bus(), serial = new Serial();
flash.load(readFileSync(process.argv[3]));
let chip, fed, parts = 3, supply = 6000;

// What a reset of the watchdog keeps: its scratch registers, and why it was.
function start(reason, scratch, cause) {
  chip = new RP2040();
  chip.logger = new ConsoleLogger(LogLevel.Error, true);
  chip.core.reset();
  const watchdog = chip.peripherals[0x40058], load = watchdog.writeUint32.bind(watchdog);
  watchdog.reason = reason;
  watchdog.scratchData.set(scratch);
  watchdog.writeUint32 = (offset, value) => {
    if (offset === 4) fed++;
    load(offset, value);
  };
  watchdog.onWatchdogTrigger = () => {
    watchdog.alarm.enable = false;
    chip.bitten = true;
  };
  chip.peripherals[0x40060].readUint32 = () => (random() < 0.5 ? 0 : 1);
  chip.peripherals[0x40064].readUint32 = () => cause;
  const convert = chip.adc.onADCRead;
  chip.adc.onADCRead = (input) => {
    chip.adc.channelValues[0] = Math.round((supply * 4096) / FULL_SCALE_MV);
    chip.adc.channelValues[1] = Math.floor(random() * 64);
    if (parts & 1) convert(input);
  };
  fed = 0;
  serial.attach(chip, BAUD);
  bus.attach(chip);
  flash.attach(chip);
}

function reset(cause) {
  flash.cut(random);
  const watchdog = chip?.peripherals[0x40058];
  if (cause === 8) start(1, watchdog.scratchData, POWER);
  else start(0, new Uint32Array(8), cause === 1 ? POWER : RUN_PIN);
}

// The emulator's processor sleeps until an interrupt; one that waits, masked or not, wakes it.
function step(until) {
  const { core, clock } = chip;
  if (core.waiting && core.checkForInterrupts()) core.waiting = false;
  if (core.waiting) clock.tick(Math.min(until - clock.nanos, clock.nanosToNextAlarm || Infinity));
  else clock.tick((core.executeInstruction() * 1e9) / chip.clkSys);
}

// A watchdog reset makes a new chip, whose clock begins at 0.
function run(milliseconds) {
  let until = chip.clock.nanos + milliseconds * 1e6;
  while (chip.clock.nanos < until) {
    step(until);
    if (!chip.bitten) continue;
    until -= chip.clock.nanos;
    reset(8);
  }
  if (fed && (chip.clkSys !== CPU_HZ || serial.rate !== BAUD)) throw new Error(`clocks: ${chip.clkSys}, ${serial.rate}`);
  if (bus.tooFast()) throw new Error(`the bus is too fast: ${bus.fastest} ns`);
  if (serial.lost) throw new Error(`${serial.lost} bytes were lost`);
}

const words = {
  reset: (value) => reset(value),
  erase: () => flash.forget(),
  rx: (_, text) => serial.feed(Buffer.from(text, "hex")),
  run,
  supply: (value) => (supply = value),
  boards: (value) => (bus.answering = value),
  cut: (value) => bus.boards[value].cut(),
  parts: (value) => (parts = value),
  hold: (value) => {
    bus.held = value === 1;
    bus.update();
  },
  hang: () => chip.sram.set(STOPPED, chip.core.PC - 0x20000000),
};

start(0, new Uint32Array(8), POWER);
for await (const line of createInterface({ input: process.stdin })) {
  const [word, text = ""] = line.trim().split(" ");
  if (!words[word]) throw new Error(`there is no command ${word}`);
  words[word](Number(text), text);
  const sent = Buffer.from(serial.sent.splice(0)).toString("hex") || "-";
  const counts = Array.from({ length: 25 }, (_, channel) => bus.boards[channel >> 4].counts(channel & 15));
  console.log(sent, chip.gpio[OE].value === 0 ? 1 : 0, fed, ...counts, flash.erases, ...bus.fastest.map((ns) => Math.min(1e6, Math.round(ns))));
}
