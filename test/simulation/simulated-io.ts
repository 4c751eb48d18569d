/**
 * Block I/O as io_uring does it: operations reach the kernel with `submit`, go on when their process has died, and are told by its event loop.
 *
 * A durable write can be read a while before it is durable, as out of a device's cache. A published one has become durable, then its done word is
 * stored and sleepers are woken; then it is told. Of a process that died in between the word is stored or not. The buffer of a write must not change until it has landed.
 */

import { constants } from "node:fs";
import type {
  AlignedBuffer,
  BlockIo,
  Completion,
  IoDescription,
  MappedFile,
  Publication,
} from "../../src/ffi/index.js";
import type { OperationKind } from "./faults.js";
import type { OpenFile } from "./machine.js";
import type { Change } from "./simulated-file.js";
import type { SimulatedProcess } from "./simulated-process.js";
import { errnoOf } from "./system-error.js";

const WAKE_US_MAX = 40;
const WRITE_US = { min: 60, spread: 120 };
const READ_US = { min: 30, spread: 60 };
const PUBLISH_US_MAX = 8;
const LATE_US_MAX = 120_000;
const MISDIRECTED_BYTES = 4096;
/** When in the course of a write its bytes can be read. */
const READABLE_PART = 0.6;

const DESCRIPTION: IoDescription = {
  backend: "uring",
  driver: "liburing",
  direct: true,
  reason: null,
  publishes: true,
};

interface Write {
  readonly open: OpenFile;
  readonly buffer: AlignedBuffer;
  readonly bufferOffset: number;
  readonly fileOffset: number;
  readonly isDurable: boolean;
  readonly publication: Publication | null;
  readonly completion: Completion;
}

export class SimulatedIo implements BlockIo {
  readonly description = DESCRIPTION;
  readonly #process: SimulatedProcess;
  /** How fast the core of this process is, and its part of the device. */
  readonly #slowness: number;
  #unsubmitted: (() => void)[] = [];
  #posted: [completion: Completion, result: number][] = [];
  #isWakePlanned = false;
  #isTelling = false;
  inFlightCount = 0;
  #sleeperCount = 0;
  #isClosing = false;

  constructor(process: SimulatedProcess) {
    this.#process = process;
    this.#slowness = 0.5 + 3 * process.chance.next() ** 3;
  }

  openFlags(mode: "read" | "write"): number {
    return (mode === "read" ? constants.O_RDONLY : constants.O_RDWR) | constants.O_DIRECT;
  }

  write(
    fd: number,
    buffer: AlignedBuffer,
    bufferOffset: number,
    length: number,
    fileOffset: number,
    durable: boolean,
    completion: Completion,
  ): void {
    this.#queueWrite(fd, buffer, bufferOffset, length, fileOffset, durable, null, completion);
  }

  writePublished(
    fd: number,
    buffer: AlignedBuffer,
    bufferOffset: number,
    length: number,
    fileOffset: number,
    publication: Publication,
    completion: Completion,
  ): void {
    this.#queueWrite(fd, buffer, bufferOffset, length, fileOffset, true, publication, completion);
  }

  #queueWrite(
    fd: number,
    buffer: AlignedBuffer,
    bufferOffset: number,
    length: number,
    fileOffset: number,
    isDurable: boolean,
    publication: Publication | null,
    completion: Completion,
  ): void {
    assertBlocks(bufferOffset, length, fileOffset);
    this.#queue(fd, completion, (open) => {
      const write = { open, buffer, bufferOffset, fileOffset, isDurable, publication, completion };
      this.#startWrite(write, length);
    });
  }

  #queue(fd: number, completion: Completion, start: (open: OpenFile) => void): void {
    this.#process.assertAlive();
    this.inFlightCount++;
    this.#unsubmitted.push(() => {
      if (!this.#process.hasFd(fd)) {
        this.#post(completion, errnoOf("EBADF"));
        return;
      }
      const open = this.#process.openFile(fd, "io");
      open.references++;
      start(open);
    });
  }

  #delay({ min, spread }: { min: number; spread: number }): number {
    return this.#slowness * (min + spread * this.#process.chance.next() ** 2);
  }

  /** The kernel does it, whether or not the process still lives, unless the power is gone. */
  #kernel(delayUs: number, run: () => void): void {
    const { machine } = this.#process;
    machine.timeline.plan(delayUs, null, () => {
      if (!machine.isDown) run();
    });
  }

  #startWrite(write: Write, length: number): void {
    const { machine } = this.#process;
    const { buffer, bufferOffset, fileOffset, open } = write;
    const bytes = Uint8Array.from(buffer.bytes.subarray(bufferOffset, bufferOffset + length));
    machine.faults.attestation?.begun(open.path, fileOffset, bytes);
    const outcome = machine.faults.ofWrite(length);
    const isPart = outcome.kind === "short";
    const landing = isPart ? bytes.subarray(0, outcome.result) : bytes;
    const change = outcome.kind === "lost" || outcome.kind === "failed" ? null : open.file.begin(landing, fileOffset);
    if (outcome.kind === "failed" && outcome.result === errnoOf("EIO") && machine.chance.integer(2) === 0) {
      // Who knows what of it came through.
      open.file.write(bytes.subarray(0, 512 * (1 + machine.chance.integer(length / 512))), fileOffset, false);
    }
    let isReadable = false;
    const landed = (): void => {
      machine.before("block-write", open.path);
      if (machine.isDown) return;
      if (change !== null && !this.#process.isDead && !isSame(bytes, buffer, bufferOffset)) {
        throw new Error(`the buffer of a write to ${open.path} at ${fileOffset} has changed in flight`);
      }
      if (isReadable && change !== null) this.#harden(write, change, landing);
      else if (change !== null) this.#land(write, change, outcome.kind === "misdirected", landing);
      else if (outcome.kind === "lost") {
        machine.faults.attestation?.lost(open.path, fileOffset, bytes);
        machine.faults.damages.push(`lost write to ${open.path} at ${fileOffset}`);
      }
      machine.after("block-write");
      if (machine.isDown) return;
      machine.release(open);
      if (write.publication !== null && outcome.result === length)
        this.#publish(write.publication, write.completion, length);
      else this.#post(write.completion, outcome.result);
    };
    const delayUs = this.#delay(WRITE_US) + machine.faults.extraWriteUs();
    if (write.isDurable && change !== null && outcome.kind !== "misdirected") {
      this.#kernel(delayUs * READABLE_PART, () => {
        if (this.#process.isDead && (machine.heldWrites !== null || machine.chance.integer(2) === 0)) return;
        isReadable = true;
        open.file.land(change, false);
      });
    }
    this.#kernel(delayUs, () => {
      if (this.#process.isDead && machine.heldWrites !== null) {
        machine.heldWrites.push(landed);
        return;
      }
      // A slow device: what a process had in flight outlives it, and who takes its place.
      const isLate = this.#process.isDead && machine.chance.integer(2) === 0;
      if (isLate) this.#kernel(machine.chance.integer(LATE_US_MAX), landed);
      else landed();
    });
  }

  #harden({ open, fileOffset }: Write, change: Change, bytes: Uint8Array): void {
    open.file.harden(change);
    this.#process.machine.faults.attestation?.wrote(open.path, fileOffset, bytes);
  }

  #land({ open, fileOffset, isDurable }: Write, change: Change, isMisdirected: boolean, bytes: Uint8Array): void {
    const { attestation } = this.#process.machine.faults;
    if (!isMisdirected) {
      open.file.land(change, isDurable);
      if (isDurable) attestation?.wrote(open.path, fileOffset, bytes);
      return;
    }
    open.file.abandon(change);
    const isUp = fileOffset + MISDIRECTED_BYTES + bytes.length <= open.file.size;
    const wrongOffset = isUp ? fileOffset + MISDIRECTED_BYTES : Math.max(0, fileOffset - MISDIRECTED_BYTES);
    open.file.write(bytes, wrongOffset, true);
    attestation?.lost(open.path, fileOffset, bytes);
    attestation?.damaged(open.path, wrongOffset, wrongOffset + bytes.length);
    this.#process.machine.faults.damages.push(`write to ${open.path} at ${fileOffset} went to ${wrongOffset}`);
  }

  #publish({ file, mailboxOffset, doneOffset }: Publication, completion: Completion, result: number): void {
    const { machine } = this.#process;
    const wasDead = this.#process.isDead;
    this.#kernel(machine.chance.integer(PUBLISH_US_MAX), () => {
      // The chain of a process that is gone may have been cancelled.
      const isGone = (wasDead || this.#process.isDead) && machine.heldWrites === null;
      if (isGone && machine.chance.integer(2) === 0) return;
      machine.before("publish", file.path);
      if (machine.isDown) return;
      file.bigint64[doneOffset / 8] = file.bigint64[mailboxOffset / 8] as bigint;
      machine.wake(file.bytes.buffer as ArrayBuffer, doneOffset);
      machine.after("publish");
      this.#post(completion, result);
    });
  }

  read(
    fd: number,
    buffer: AlignedBuffer,
    bufferOffset: number,
    length: number,
    fileOffset: number,
    completion: Completion,
  ): void {
    assertBlocks(bufferOffset, length, fileOffset);
    this.#operation(fd, "block-read", READ_US, completion, ({ file }) => {
      const errno = this.#process.machine.faults.ofRead();
      if (errno < 0) return errno;
      return file.read(buffer.bytes.subarray(bufferOffset, bufferOffset + length), fileOffset);
    });
  }

  dataSync(fd: number, completion: Completion): void {
    let succeed: (() => void) | null = null;
    this.#operation(
      fd,
      "block-sync",
      WRITE_US,
      completion,
      ({ file }) => {
        const errno = this.#process.machine.faults.ofSync();
        if (errno < 0) file.forget();
        else succeed?.();
        return errno;
      },
      ({ file }) => {
        succeed = file.syncPoint();
      },
    );
  }

  allocate(fd: number, byteLength: number, completion: Completion): void {
    this.#operation(fd, "allocate", WRITE_US, completion, ({ file }) => {
      file.allocate(byteLength);
      return 0;
    });
  }

  #operation(
    fd: number,
    kind: OperationKind,
    delay: { min: number; spread: number },
    completion: Completion,
    run: (open: OpenFile) => number,
    begin: (open: OpenFile) => void = () => {},
  ): void {
    const { machine } = this.#process;
    this.#queue(fd, completion, (open) => {
      begin(open);
      this.#kernel(this.#delay(delay), () => {
        const errno = machine.before(kind, open.path);
        if (machine.isDown) return;
        const result = errno < 0 ? errno : this.#process.isDead && kind === "block-read" ? 0 : run(open);
        machine.after(kind);
        if (machine.isDown) return;
        machine.release(open);
        this.#post(completion, result);
      });
    });
  }

  sleepOn(file: MappedFile, offset: number, expected: number, completion: Completion): void {
    this.#process.assertAlive();
    if (this.#isClosing) {
      queueMicrotask(() => completion.complete(errnoOf("ECANCELED")));
      return;
    }
    this.#sleeperCount++;
    const ended = (result: number): void => {
      this.#sleeperCount--;
      this.#post(completion, result, false);
    };
    this.#unsubmitted.push(() => {
      if (file.int32[offset / 4] !== expected) ended(errnoOf("EAGAIN"));
      else {
        const memory = file.bytes.buffer as ArrayBuffer;
        const cancel = (): void => ended(errnoOf("ECANCELED"));
        this.#process.machine.sleep({ memory, offset, life: this.#process, io: this, wake: () => ended(0), cancel });
      }
    });
  }

  wake(file: MappedFile, offset: number): void {
    this.#process.assertAlive();
    this.#process.machine.wake(file.bytes.buffer as ArrayBuffer, offset);
  }

  submit(): void {
    this.#process.assertAlive();
    for (const start of this.#unsubmitted.splice(0)) start();
  }

  #post(completion: Completion, result: number, counts = true): void {
    if (this.#process.isDead) return;
    this.#posted.push([
      {
        complete: (value) => {
          if (counts) this.inFlightCount--;
          completion.complete(value);
        },
      },
      result,
    ]);
    if (this.#isWakePlanned) return;
    this.#isWakePlanned = true;
    this.#process.plan(this.#process.chance.integer(WAKE_US_MAX), () => {
      this.#isWakePlanned = false;
      this.#process.stall(this.#process.machine.faults.stallUs());
      this.#tell();
    });
  }

  #tell(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    try {
      for (const [completion, result] of this.#posted.splice(0)) completion.complete(result);
    } finally {
      this.#isTelling = false;
    }
  }

  collect(): void {
    this.#process.assertAlive();
    this.#tell();
  }

  async close(): Promise<void> {
    this.submit();
    while (this.inFlightCount > 0) await this.#process.sleep(1);
    this.#isClosing = true;
    for (const { cancel } of this.#process.machine.endSleep((sleeper) => sleeper.io === this)) cancel();
    while (this.#sleeperCount > 0) await this.#process.sleep(1);
  }
}

function assertBlocks(bufferOffset: number, length: number, fileOffset: number): void {
  if (bufferOffset % 512 === 0 && length % 512 === 0 && fileOffset % 512 === 0 && length > 0) return;
  throw new Error(`direct I/O of ${length} bytes from ${bufferOffset} at ${fileOffset}`);
}

function isSame(bytes: Uint8Array, buffer: AlignedBuffer, bufferOffset: number): boolean {
  return Buffer.compare(bytes, buffer.bytes.subarray(bufferOffset, bufferOffset + bytes.length)) === 0;
}
