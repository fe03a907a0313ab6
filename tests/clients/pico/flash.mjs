// The boot ROM of an emulated RP2040, as far as the firmware calls it, and the flash chip behind it.
// The real boot ROM drives the flash through registers that the emulator lacks. So its functions are breakpoints here.

const BASE = 0x10000000, FLASH_SIZE = 1 << 21, RAM_TOP = 0x20041f00;
const PROGRAM_NS = 3e6, ERASE_NS = 400e6; // longest times of a W25Q16JV
const TURN_NS = 2e3; // of asking whether it is done
const FIND = 0x100, FUNCTIONS = 0x200;
const NAMES = ["IF", "EX", "RE", "RP", "FC", "CX"];
const BREAK = 0xbe00, RETURN = 0x4770; // bkpt, bx lr

export class Flash {
  constructor() {
    this.bytes = new Uint8Array(FLASH_SIZE).fill(0xff);
    this.erases = 0;
  }

  // Writes the pages of a UF2 file.
  load(uf2) {
    for (let at = 0; at < uf2.length; at += 512) {
      const block = new DataView(uf2.buffer, uf2.byteOffset + at, 512);
      this.bytes.set(uf2.subarray(at + 32, at + 32 + block.getUint32(16, true)), block.getUint32(12, true) - BASE);
    }
  }

  // Forgets what the firmware stored.
  forget() {
    this.bytes.fill(0xff, FLASH_SIZE - 0x8000);
  }

  // Puts the flash into a chip that was just reset, and starts it as the boot ROM does.
  attach(chip) {
    this.chip = chip;
    this.readable = true;
    this.state = "XIP";
    this.work = null;
    const view = chip.flash.subarray(0, FLASH_SIZE);
    view.set(this.bytes);
    this.bytes = view;
    for (const read of ["readUint32", "readUint16", "readUint8"]) {
      const usual = chip[read].bind(chip);
      chip[read] = (address) => {
        if (address >>> 28 === 1 && address >>> 24 < 0x18 && !this.readable)
          throw new Error(`flash is read at ${address.toString(16)} while it takes commands`);
        return usual(address);
      };
    }
    this.putRom();
    this.boot();
  }

  putRom() {
    const rom = new Uint16Array(this.chip.bootrom.buffer);
    rom[0x14 / 2] = FUNCTIONS;
    rom[0x18 / 2] = FIND | 1;
    rom.set([BREAK, RETURN], FIND / 2);
    NAMES.forEach((_, n) => rom.set([BREAK | (n + 1), RETURN], FUNCTIONS / 2 + 2 * n));
    this.chip.onBreak = (number) => (number ? this.call(NAMES[number - 1]) : this.find());
  }

  find() {
    const [table, code] = this.chip.core.registers, index = NAMES.indexOf(String.fromCharCode(code & 255, code >> 8));
    if (table !== FUNCTIONS || index < 0) throw new Error(`the boot ROM has no function ${code.toString(16)}`);
    this.chip.core.registers[0] = (FUNCTIONS + 4 * index) | 1;
  }

  // CRC and copy of the first 256 bytes; data sheet 2.8.1.
  boot() {
    const { chip } = this, view = new DataView(this.bytes.buffer, this.bytes.byteOffset);
    let crc = 0xffffffff;
    for (let at = 0; at < 252; at++)
      for (let bit = 7; bit >= 0; bit--) {
        const top = (crc >>> 31) ^ ((this.bytes[at] >> bit) & 1);
        crc = ((crc << 1) ^ (top ? 0x04c11db7 : 0)) >>> 0;
      }
    if (crc !== view.getUint32(252, true)) throw new Error("the boot ROM finds no valid CRC in flash");
    chip.sram.set(this.bytes.subarray(0, 256), RAM_TOP - 0x20000000);
    chip.core.SP = RAM_TOP;
    chip.core.LR = 0;
    chip.core.PC = RAM_TOP;
  }

  // Calls come in the only order that the data sheet allows [2.8.3.1.3].
  call(name) {
    const after = { IF: "XIP", EX: "IF", RE: "EX", RP: "EX", FC: "EX", CX: "FC" };
    if (!this.work && this.state !== after[name]) throw new Error(`the boot ROM's ${name} after ${this.state}`);
    if (name === "RE" || name === "RP") return this.change(name);
    this.state = name === "CX" ? "XIP" : name;
    this.readable = name === "CX";
  }

  // Takes its time, in which interrupts are served.
  change(name) {
    const { core, clock } = this.chip;
    if (!this.work) {
      const [start, second, third] = core.registers;
      const sectors = second / 4096;
      this.work = { name, start, second, third, until: clock.nanos + (name === "RE" ? ERASE_NS * sectors : PROGRAM_NS) };
      if (name === "RE") this.erases++;
    }
    if (clock.nanos < this.work.until) {
      clock.tick(TURN_NS);
      core.PC -= 2;
      return;
    }
    this.apply(() => 255);
    this.work = null;
  }

  // Changes the bits of each byte that `done` says: erasing sets them, programming clears them.
  apply(done) {
    const { name, start, second, third } = this.work, { bytes, chip } = this;
    const count = name === "RE" ? second : third;
    for (let n = 0; n < count; n++) {
      const wanted = name === "RE" ? 255 : chip.readUint8(second + n);
      const changed = name === "RE" ? bytes[start + n] | done() : bytes[start + n] & (wanted | ~done());
      bytes[start + n] = changed;
    }
  }

  // Power goes: work that is under way is done in part, at bits drawn by `random`.
  cut(random) {
    if (this.work) this.apply(() => Math.floor(random() * 256));
    this.work = null;
  }
}
