// The FIFOs of an emulated serial port by their data sheet [4.2.3]; the emulator sends at once and knows no thresholds.

const RX = 1 << 4, TX = 1 << 5, TIMEOUT = 1 << 6;
const RX_EMPTY = 1 << 4, TX_FULL = 1 << 5;
const DEPTH = 32, RX_THRESHOLD = 4, TX_THRESHOLD = 16;

export class Serial {
  attach(chip, baud) {
    const uart = chip.uart[0], { clock } = chip;
    Object.assign(this, { chip, uart, clock, byteNs: 1e10 / baud, waiting: [], sent: [], lost: 0 });
    this.free = 0; // when all bytes are out
    this.drained = false; // whether the FIFO fell through its threshold
    this.rate = 0;
    this.sending = clock.createAlarm(() => this.passed());
    this.arriving = clock.createAlarm(() => this.arrive());
    this.silence = clock.createAlarm(() => this.check(true));
    uart.onBaudRateChange = (rate) => (this.rate = rate);
    uart.onByte = (byte) => this.take(byte);
    uart.checkInterrupts = () => this.check(false);
    Object.defineProperty(uart, "flags", {
      get: () => (uart.rxFIFO.empty ? RX_EMPTY : 0) | (this.level() >= DEPTH ? TX_FULL : 0),
    });
  }

  level() {
    return Math.ceil(Math.max(0, this.free - this.clock.nanos) / this.byteNs - 1e-6);
  }

  take(byte) {
    if (this.level() >= DEPTH) throw new Error("a byte is sent into a full FIFO");
    this.sent.push(byte);
    this.free = Math.max(this.free, this.clock.nanos) + this.byteNs;
    if (this.level() <= TX_THRESHOLD) return;
    this.drained = false;
    this.sending.schedule(this.free - TX_THRESHOLD * this.byteNs - this.clock.nanos);
    this.check(false);
  }

  passed() {
    this.drained = true;
    this.check(false);
  }

  feed(bytes) {
    const idle = !this.waiting.length;
    this.waiting.push(...bytes);
    if (idle && bytes.length) this.arriving.schedule(this.byteNs);
  }

  arrive() {
    const byte = this.waiting.shift(), { rxFIFO } = this.uart;
    if (rxFIFO.full) this.lost++;
    else rxFIFO.push(byte);
    if (this.waiting.length) this.arriving.schedule(this.byteNs);
    this.silence.schedule(3.2 * this.byteNs); // 32 bits
    this.check(false);
  }

  check(silent) {
    const { uart } = this, many = uart.rxFIFO.itemCount >= RX_THRESHOLD;
    this.silent = (silent || this.silent) && !uart.rxFIFO.empty;
    uart.interruptStatus = (many ? RX : 0) | (this.silent ? TIMEOUT : 0) | (this.drained ? TX : 0);
    this.chip.setInterrupt(uart.irq, !!(uart.interruptStatus & uart.interruptMask));
  }
}
