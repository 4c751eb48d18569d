/** A BlockIo between the log and the real one that fails, shortens, delays or withholds operations as a test decides. */

import type { AlignedBuffer } from "../../../src/ffi/aligned-buffer.js";
import type { BlockIo } from "../../../src/ffi/block-io.js";
import type { Completion } from "../../../src/ffi/ring.js";

export interface Operation {
  readonly kind: "write" | "read" | "dataSync" | "allocate";
  readonly fd: number;
  /** Bytes to write or read, or the size to allocate. */
  readonly length: number;
  readonly fileOffset: number;
  readonly durable: boolean;
  /** The first byte to be written; 0 for what is no write. Tells frames and preambles ("V") from zeros. */
  readonly firstByte: number;
}

export type Fault =
  /** Ends with this result and does nothing. */
  | { readonly result: number }
  /** Writes or reads only so many bytes, and says so. */
  | { readonly onlyBytes: number }
  /** Does it now, and tells only when it is released. */
  | "tellLater"
  /** Does nothing until it is released. */
  | "doLater"
  | null;

export interface FaultyIo {
  readonly io: BlockIo;
  /** Every operation so far. */
  readonly operations: readonly Operation[];
  /** Those withheld and not released, in the order in which they were started. */
  readonly withheld: readonly { readonly operation: Operation; readonly release: () => void }[];
  /** What happens to the operations from now on. */
  decide: (operation: Operation) => Fault;
}

/** True for a write of zeros ahead of the writer. */
export function isZeroing(operation: Operation): boolean {
  return operation.kind === "write" && operation.firstByte === 0;
}

/** True for a write of a frame. */
export function isFrame(operation: Operation): boolean {
  return operation.kind === "write" && operation.firstByte !== 0 && operation.fileOffset > 0;
}

export function faultyIo(real: BlockIo): FaultyIo {
  const operations: Operation[] = [];
  const withheld: { operation: Operation; release: () => void }[] = [];
  const faulty: FaultyIo = { io: real, operations, withheld, decide: () => null };

  const run = (
    operation: Operation,
    completion: Completion,
    start: (length: number, completion: Completion) => void,
  ): void => {
    operations.push(operation);
    const fault = faulty.decide(operation);
    if (fault === null) {
      start(operation.length, completion);
    } else if (fault === "doLater") {
      const entry = {
        operation,
        release: () => {
          withheld.splice(withheld.indexOf(entry), 1);
          start(operation.length, completion);
          real.submit();
        },
      };
      withheld.push(entry);
    } else if (fault === "tellLater") {
      const done = new Promise<number>((resolve) => start(operation.length, { complete: resolve }));
      const entry = {
        operation,
        release: () => {
          withheld.splice(withheld.indexOf(entry), 1);
          void done.then((result) => completion.complete(result));
        },
      };
      withheld.push(entry);
    } else if ("onlyBytes" in fault) {
      start(fault.onlyBytes, completion);
    } else {
      setImmediate(() => completion.complete(fault.result));
    }
  };

  const io: BlockIo = {
    description: real.description,
    get inFlightCount() {
      return real.inFlightCount + withheld.length;
    },
    openFlags: (mode) => real.openFlags(mode),
    write: (fd, buffer: AlignedBuffer, bufferOffset, length, fileOffset, durable, completion) => {
      const firstByte = buffer.bytes[bufferOffset] as number;
      run({ kind: "write", fd, length, fileOffset, durable, firstByte }, completion, (bytes, told) =>
        real.write(fd, buffer, bufferOffset, bytes, fileOffset, durable, told),
      );
    },
    writePublished: (fd, buffer, bufferOffset, length, fileOffset, publication, completion) => {
      const firstByte = buffer.bytes[bufferOffset] as number;
      run({ kind: "write", fd, length, fileOffset, durable: true, firstByte }, completion, (bytes, told) => {
        // A short write publishes nothing.
        if (bytes === length) real.writePublished(fd, buffer, bufferOffset, bytes, fileOffset, publication, told);
        else real.write(fd, buffer, bufferOffset, bytes, fileOffset, true, told);
      });
    },
    read: (fd, buffer, bufferOffset, length, fileOffset, completion) =>
      run({ kind: "read", fd, length, fileOffset, durable: false, firstByte: 0 }, completion, (bytes, told) =>
        real.read(fd, buffer, bufferOffset, bytes, fileOffset, told),
      ),
    dataSync: (fd, completion) =>
      run({ kind: "dataSync", fd, length: 0, fileOffset: 0, durable: true, firstByte: 0 }, completion, (_, told) =>
        real.dataSync(fd, told),
      ),
    allocate: (fd, byteLength, completion) =>
      run(
        { kind: "allocate", fd, length: byteLength, fileOffset: 0, durable: false, firstByte: 0 },
        completion,
        (_, told) => real.allocate(fd, byteLength, told),
      ),
    sleepOn: (file, offset, expected, completion) => real.sleepOn(file, offset, expected, completion),
    wake: (file, offset) => real.wake(file, offset),
    submit: () => real.submit(),
    collect: () => real.collect(),
    close: () => real.close(),
  };
  return Object.assign(faulty, { io });
}
