// Two PCA9685 on the emulated bus, bit by bit; outputs change at the stop.

const SDA = 4, SCL = 5;
const LOW_NS = 1300, HIGH_NS = 600; // shortest phases of a clock of 400 kHz

export class Bus {
  constructor() {
    this.answering = 3;
    this.held = false; // whether somebody holds the clock down
    this.boards = [new Board(), new Board()];
    this.state = "idle"; // address, write, read
    this.pulls = false; // whether a board pulls the data wire down
    this.bits = 0;
    this.byte = 0;
    this.target = null;
  }

  attach(chip) {
    this.chip = chip;
    this.scl = this.sda = true;
    this.changed = chip.clock.nanos;
    this.fastest = [Infinity, Infinity]; // shortest low and high phase [ns]
    for (const pin of [SDA, SCL]) chip.gpio[pin].addListener(() => this.update());
    this.update();
  }

  // The wires show what the lowest of all asks for.
  update() {
    const low = (pin) => this.chip.gpio[pin].value === 0;
    const scl = !low(SCL) && !this.held;
    const sda = !low(SDA) && !this.pulls;
    const before = [this.scl, this.sda];
    [this.scl, this.sda] = [scl, sda];
    this.chip.gpio[SCL].setInputValue(scl);
    this.chip.gpio[SDA].setInputValue(sda);
    if (scl !== before[0]) {
      this.measure(before[0]);
      if (scl) this.rise();
      else this.fall();
    } else if (scl && sda !== before[1]) {
      if (sda) this.stop();
      else this.start();
    }
  }

  measure(high) {
    const now = this.chip.clock.nanos, at = high ? 1 : 0;
    this.fastest[at] = Math.min(this.fastest[at], now - this.changed);
    this.changed = now;
  }

  tooFast() {
    return this.fastest[0] < LOW_NS || this.fastest[1] < HIGH_NS;
  }

  start() {
    this.state = "address";
    this.bits = this.byte = 0;
    this.fresh = true; // the clock's first fall begins the first bit
  }

  stop() {
    this.state = "idle";
    for (const board of this.boards) board.show();
  }

  rise() {
    if (this.state === "idle") return;
    if (this.bits < 8) this.byte = ((this.byte << 1) | (this.sda ? 1 : 0)) & 255;
    else if (this.state === "read" && this.sda) this.state = "idle"; // the last byte was asked for
  }

  // Before each bit, boards pull or let go.
  fall() {
    if (this.fresh) this.fresh = false;
    else if (this.state !== "idle") this.bits = this.bits < 8 ? this.bits + 1 : 0;
    const pulls = this.state !== "idle" && this.wanted();
    if (pulls === this.pulls) return;
    this.pulls = pulls;
    this.update();
  }

  wanted() {
    if (this.bits === 8) return this.acknowledge();
    if (this.bits === 0 && this.state === "reading") this.state = "read";
    if (this.state !== "read") return false;
    if (this.bits === 0) this.sending = this.target.read();
    return !((this.sending >> (7 - this.bits)) & 1);
  }

  acknowledge() {
    if (this.state === "read") return false; // that is the host's
    if (this.state === "write") this.target.write(this.byte);
    else {
      const number = (this.byte >> 1) - 0x40;
      if (number < 0 || number > 1 || !((this.answering >> number) & 1)) {
        this.state = "idle";
        return false;
      }
      this.target = this.boards[number];
      this.target.pointing = true;
      this.state = this.byte & 1 ? "reading" : "write";
    }
    this.byte = 0;
    return true;
  }
}

class Board {
  constructor() {
    this.cut();
  }

  cut() {
    this.registers = new Uint8Array(256);
    this.registers.set([0x11, 0x04]); // asleep
    this.show();
  }

  show() {
    this.shown = this.registers.slice();
  }

  write(byte) {
    if (this.pointing) this.where = byte;
    else {
      this.registers[this.where] = byte;
      if (this.where === 0xfd) for (let output = 0; output < 16; output++) this.registers[9 + 4 * output] = byte;
      this.advance();
    }
    this.pointing = false;
  }

  read() {
    const byte = this.registers[this.where];
    this.advance();
    return byte;
  }

  advance() {
    if (this.registers[0] & 0x20) this.where = (this.where + 1) & 255;
  }

  // Steps of 4,096 that an output is high; 0 if it is off or the board asleep.
  counts(output) {
    const at = this.shown.subarray(6 + 4 * output);
    if (at[3] & 0x10 || this.shown[0] & 0x10) return 0;
    return ((at[2] | (at[3] << 8)) - (at[0] | (at[1] << 8))) & 4095;
  }
}
