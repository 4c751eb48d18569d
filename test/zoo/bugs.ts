/**
 * Builds that are known to be wrong, each by a small change of compiled files, and the harness that must notice.
 *
 * A green run is worth as much as what would turn it red. No release contains any of this: the changes are made to a copy of the tests'
 * build, and one whose text is not found exactly once fails, so that no bug quietly stops being one.
 */

/** Replaces a text of a compiled file below `build/`. */
export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** A compiled module below `build/test`, run with arguments in the wrong build; it notices when it does not exit with 0. */
export type Harness = readonly [module: string, ...args: readonly string[]];

export interface Bug {
  readonly name: string;
  /** What is wrong, and which promise it breaks. */
  readonly what: string;
  readonly edits: readonly Edit[];
  readonly caughtBy: Harness;
}

/** The tests of one file. */
function tests(file: string): Harness {
  return [`${file}.test.js`];
}

/** Histories with deaths, power cuts and faults, each from its seed. */
function simulated(seeds: number): Harness {
  return ["simulation/simulate.js", "--seeds", String(seeds)];
}

/** The same, with subjects that are forgotten in each. */
function simulatedSubjects(seeds: number): Harness {
  return ["simulation/simulate.js", "--first", "1000001", "--seeds", String(seeds)];
}

/** The graph against the naive model. */
function modelled(histories: number): Harness {
  return ["model/model.js", "--histories", String(histories), "--seed", "1", "--stores", "0"];
}

/** The wrong build writes, the right one looks what is there after a power cut. */
const POWER_CUT = "power-cut/power-cut.js";

export const BUGS: readonly Bug[] = [
  {
    name: "ack-before-flush",
    what: "writes are acknowledged when the device has them, flushed or not (P1)",
    edits: [
      {
        file: "src/ffi/sqe.js",
        find: "const flags = durable ? RWF_DSYNC : 0;",
        replace: "const flags = durable ? 0 : 0;",
      },
    ],
    caughtBy: [POWER_CUT, "--states", "60"],
  },
  {
    name: "no-directory-sync",
    what: "names of files are not made durable (P1: a backup that was made is not there)",
    edits: [
      {
        file: "src/ffi/direct-file.js",
        find: `constants.O_DIRECTORY);
    try {
        await handle.sync();`,
        replace: `constants.O_DIRECTORY);
    try {`,
      },
    ],
    caughtBy: [POWER_CUT, "--states", "300"],
  },
  {
    name: "ack-on-own-core",
    what: "an append is acknowledged when its own core is durable, not when W has passed it (P2)",
    edits: [
      {
        file: "src/wal/batches-in-flight.js",
        find: `batch?.status !== "durable" || batch.firstLsn + batch.recordCount - 1 > watermark`,
        replace: `batch?.status !== "durable"`,
      },
    ],
    caughtBy: tests("wal/company"),
  },
  {
    name: "attestation-overtaken",
    what: "what is written behind an attestation in flight counts as committed, with a hole in front of it that ends the file (P1)",
    edits: [{ file: "src/wal/sealing-queue.js", find: "inFlight.isAttesting || ", replace: "" }],
    caughtBy: tests("wal/core-writer"),
  },
  {
    name: "counter-read-last",
    what: "W is computed from a counter that is read behind the lanes (P4)",
    edits: [
      {
        file: "src/wal/lanes.js",
        find: "let watermark = Number(Atomics.load(bigint64, LONG.counter));",
        replace: "let watermark = Number.MAX_SAFE_INTEGER;",
      },
      {
        file: "src/wal/lanes.js",
        find: "return Math.max(watermark, Number(Atomics.load(bigint64, LONG.watermark)));",
        replace:
          "return Math.max(Math.min(watermark, Number(Atomics.load(bigint64, LONG.counter))), Number(Atomics.load(bigint64, LONG.watermark)));",
      },
    ],
    caughtBy: tests("wal/lanes"),
  },
  {
    name: "no-fence",
    what: "recovery does not say where the incarnation before ends, so what it left out comes back later (P2)",
    edits: [
      {
        file: "src/wal/open-log.js",
        find: "{ ...entry, lastLsn, voids: clipped(entry.voids, lastLsn) }",
        replace: "{ ...entry }",
      },
    ],
    caughtBy: tests("wal/open-log"),
  },
  {
    name: "takeover-without-waiting",
    what: "a dead writer is judged while its writes are still in flight (P1, P8)",
    edits: [{ file: "src/wal/takeover.js", find: "await waitForWrites(file, place);", replace: "" }],
    caughtBy: tests("simulation/late-writes"),
  },
  {
    name: "recovery-without-waiting",
    what: "an opener decides while writes of a killed writer are in flight: a reader sees two events at one LSN (P4)",
    edits: [
      { file: "src/wal/open-log.js", find: "await waitForWrites(file, deadlineMs, waitMs, onWaiting);", replace: "" },
    ],
    caughtBy: tests("simulation/late-writes"),
  },
  {
    name: "failed-write-acknowledged",
    what: "a write that failed is taken for done, as one is that is tried again after a sync has failed (P7)",
    edits: [
      {
        file: "src/wal/batch.js",
        find: `if (result < BLOCK_BYTES || this.shortWriteCount > 0)
            return "failed";`,
        replace: `if (result < BLOCK_BYTES || this.shortWriteCount > 0) {
            this.status = "durable";
            return "durable";
        }`,
      },
    ],
    caughtBy: tests("wal/core-writer"),
  },
  {
    name: "short-write-is-a-write",
    what: "a write that wrote a part counts as whole (P1)",
    edits: [{ file: "src/wal/batch.js", find: "if (result === this.missingBytes) {", replace: "if (result > 0) {" }],
    caughtBy: tests("wal/core-writer"),
  },
  {
    name: "stale-segment-accepted",
    what: "frames are believed wherever they lie (P2)",
    edits: [
      {
        file: "src/wal/format.js",
        find: "return (header.core === place.core &&",
        replace: "return true || (header.core === place.core &&",
      },
    ],
    caughtBy: tests("wal/log-scan"),
  },
  {
    name: "body-not-checked",
    what: "the checksums of records are not looked at (P5)",
    edits: [
      {
        file: "src/wal/format.js",
        find: "if (crc !== body.readUInt32LE(at + 4))",
        replace: "if (false)",
      },
      {
        file: "src/wal/format.js",
        find: "return at === body.length && crc === header.bodyCrc && header.recordCount > 0;",
        replace: "return at === body.length && header.recordCount > 0;",
      },
    ],
    caughtBy: tests("wal/format"),
  },
  {
    name: "checkpoint-beyond-w",
    what: "a checkpoint seals what is not durable yet (P4)",
    edits: [
      {
        file: "src/wal/wal.js",
        find: `            reader: this.#reader,
            watermark: () => this.watermark,`,
        replace: `            reader: this.#reader,
            watermark: () => control.counter,`,
      },
    ],
    caughtBy: tests("wal/checkpoint"),
  },
  {
    name: "poison-ignored",
    what: "the others go on after a writer's write has failed (P7)",
    edits: [{ file: "src/wal/core-writer.js", find: "if (this.#control.poisonedBy >= 0) {", replace: "if (false) {" }],
    caughtBy: tests("wal/company"),
  },
  {
    name: "voids-not-written",
    what: "a takeover gives LSNs up and tells nobody (P2)",
    edits: [
      {
        file: "src/wal/takeover.js",
        find: "await addVoids(place.directory, control.incarnation, voids);",
        replace: "void addVoids;",
      },
    ],
    caughtBy: tests("wal/company"),
  },
  {
    name: "sealed-not-read-back",
    what: "the log is dropped when sealed segments were written, not when they read back (P6)",
    edits: [
      {
        file: "src/wal/sealed/sealed-writer.js",
        find: "const trailer = await walkSegment({ file, pool, storeId, keys, number, knownHash: this.#chain.value });",
        replace: "const trailer = await readTrailer(file, storeId, number); void [walkSegment, pool, keys];",
      },
      {
        file: "src/wal/sealed/sealed-writer.js",
        find: `import { walkSegment } from "./segment-walk.js";`,
        replace: `import { readTrailer, walkSegment } from "./segment-walk.js";`,
      },
    ],
    caughtBy: tests("wal/sealed/sealed-writer"),
  },
  {
    name: "backup-not-synced",
    what: "the manifest of a backup lists segments that are not durable yet (P1: what was backed up is not there)",
    edits: [{ file: "src/wal/backup/copy-segments.js", find: "await target.dataSync();", replace: "" }],
    caughtBy: simulated(60),
  },
  {
    name: "repair-drops-silently",
    what: "a repair keeps what the log attests, and says nothing of whole frames behind that (P1)",
    edits: [
      {
        file: "src/wal/salvage/salvage-log.js",
        find: "if (piece.lastLsn > lsn)\n                lsn = piece.lastLsn;",
        replace: "void piece;",
      },
    ],
    caughtBy: ["simulation/simulate.js", "--first", "2000001", "--seeds", "20"],
  },
  {
    name: "unacknowledged-not-told",
    what: "a repair drops whole events that were never acknowledged, and does not say so",
    edits: [
      {
        file: "src/wal/repair/repair-plan.js",
        find: "addRange(this.#unacknowledged, firstLsn, throughLsn);",
        replace: "void throughLsn;",
      },
    ],
    caughtBy: tests("wal/repair/repair-plan"),
  },
  {
    name: "unacknowledged-miscounted",
    what: "of whole events that were never acknowledged a repair names the first of each frame",
    edits: [
      {
        file: "src/wal/repair/repair-plan.js",
        find: "addRange(this.#unacknowledged, firstLsn, throughLsn);",
        replace: "addRange(this.#unacknowledged, firstLsn, firstLsn);",
      },
    ],
    caughtBy: tests("wal/repair/repair-plan"),
  },
  {
    name: "tail-block-rewritten",
    what: "a batch goes on in the block that the one before did not fill: a power cut while it is written spoils what was acknowledged (P1)",
    edits: [
      {
        file: "src/wal/format.js",
        find: "return Math.ceil((FRAME_HEADER_BYTES + storedBytes) / BLOCK_BYTES) * BLOCK_BYTES;",
        replace: "return Math.ceil((FRAME_HEADER_BYTES + storedBytes) / 512) * 512;",
      },
      {
        file: "src/wal/frame-stream.js",
        find: "at < chunk.bytes.length; at += BLOCK_BYTES",
        replace: "at < chunk.bytes.length; at += 512",
      },
      {
        file: "src/ffi/aligned-buffer.js",
        find: "assert(byteLength > 0 && byteLength % BLOCK_BYTES === 0,",
        replace: "byteLength = Math.ceil(byteLength / BLOCK_BYTES) * BLOCK_BYTES; assert(true,",
      },
    ],
    caughtBy: ["simulation/simulate.js", "--seeds", "0", "--exhaustive"],
  },
  {
    name: "lsn-as-nonce",
    what: "frames are encrypted by one key of the store, with their LSN as nonce: what is cut and appended again has the same pair",
    edits: [
      {
        file: "src/wal/crypt/frame-cipher.js",
        find: "return new FileKey(keyId, salt, info);",
        replace: "return new FileKey(keyId, Buffer.alloc(salt.length), PURPOSE);",
      },
      {
        file: "src/wal/crypt/frame-cipher.js",
        find: "encryptInPlace(keys.bytesOf(key), fileOffset, aad,",
        replace: "encryptInPlace(keys.bytesOf(key), Number(frame.readBigUInt64LE(64)), aad,",
      },
      {
        file: "src/wal/crypt/frame-cipher.js",
        find: "const body = decrypt(key, fileOffset, aad,",
        replace: "const body = decrypt(key, header.firstLsn, aad,",
      },
    ],
    caughtBy: simulated(60),
  },
  {
    name: "forgotten-before-durable",
    what: "forget answers when the key is overwritten in memory, not on the disk (privacy: with a power cut the key comes back)",
    edits: [
      {
        file: "src/wal/subjects/subject-file.js",
        find: "async #write(blocks) {",
        replace: "async #write(blocks, isFlushed = true) {",
      },
      {
        file: "src/wal/subjects/subject-file.js",
        find: `            await this.flush();
        }
        catch (error) {
            takeBack(`,
        replace: `            if (isFlushed) await this.flush();
        }
        catch (error) {
            takeBack(`,
      },
      {
        file: "src/wal/subjects/subject-file.js",
        find: "await this.#write(blocks);",
        replace: "await this.#write(blocks, !isInBoth);",
      },
      {
        file: "src/wal/subjects/subject-file.js",
        find: "nextSubjectBlock(block, block.records)));",
        replace: "nextSubjectBlock(block, block.records)), false);",
      },
    ],
    caughtBy: simulatedSubjects(60),
  },
  {
    name: "subject-keys-in-place",
    what: "a block of subject keys is written over the copy that counts (a power cut that spoils it takes the keys of others)",
    edits: [
      {
        file: "src/wal/subjects/subject-block.js",
        find: "copy: block.copy === 0 ? 1 : 0 };",
        replace: "copy: block.sequence === 0 ? 0 : block.copy };",
      },
    ],
    caughtBy: tests("wal/subjects/power-cuts"),
  },
  {
    name: "any-state-word-counts",
    what: "a key is taken for destroyed by the state word of another one, where a device has written a block in the wrong place (privacy)",
    edits: [
      {
        file: "src/wal/subjects/subject-file.js",
        find: "return found === id ?",
        replace: "return found.length > 0 ?",
      },
    ],
    caughtBy: tests("wal/subjects/subject-keys"),
  },
  {
    name: "checkpoint-before-takeover",
    what: "a checkpoint removes files that say how far a dead writer's streams had come: a version is given again (P1)",
    edits: [
      {
        file: "src/wal/control-file.js",
        find: "return Math.min(tail.segment, ...segments.map(({ segment }) => segment));",
        replace: "return tail.segment; void segments;",
      },
    ],
    caughtBy: tests("wal/company"),
  },
  {
    name: "restore-gives-key-back",
    what: "a key file that came back from an older copy keeps the keys that the log says are destroyed (privacy)",
    edits: [
      {
        file: "src/events/subjects.js",
        find: "await keys.destroyKeys(toDestroy);",
        replace: "void toDestroy;",
      },
    ],
    caughtBy: tests("privacy/restore"),
  },
  {
    name: "opened-long-before",
    what: "events are handed out as they were when they were read from the disk (privacy: of who was forgotten since, too)",
    edits: [
      {
        file: "src/events/event-source.js",
        find: "return this.hearing === null ? batches : heardBatches(batches, this.hearing);",
        replace: "return batches; void heardBatches;",
      },
    ],
    caughtBy: tests("privacy/hearing"),
  },
  {
    name: "listeners-not-told",
    what: "who subscribes to a log that others write waits for ever behind damage (P5)",
    edits: [{ file: "src/wal/log-watch.js", find: "this.#log.onFailure();", replace: "" }],
    caughtBy: tests("events/event-reader"),
  },
  {
    name: "correction-takes-too-much",
    what: "what a correction takes away is closed beyond its end, so that the past is answered twice",
    edits: [
      {
        file: "src/projections/graph/timelines.js",
        find: "Math.min(rowTo, to), lsn);",
        replace: "rowTo, lsn);",
      },
    ],
    caughtBy: modelled(500),
  },
  {
    name: "view-hears-of-later-cuts",
    what: "a view that was made before shows periods as a later event cut them",
    edits: [
      {
        file: "src/projections/graph/entity.js",
        find: "timelines.isCutAfter(slot, known)",
        replace: "timelines.isCutAfter(slot, known + 1)",
      },
    ],
    caughtBy: modelled(500),
  },
  {
    name: "pieces-in-files-stay-apart",
    what: "a view that was made before shows a piece of a rectangle by itself, because the others were moved to a file since",
    edits: [
      {
        file: "src/projections/graph/entity.js",
        find: "contents.same(timelines.content(slot, row), rectangle.content)",
        replace: "timelines.content(slot, row) === rectangle.content",
      },
    ],
    caughtBy: modelled(500),
  },
  {
    name: "moved-labels-forgotten",
    what: "a node that bore a label only in versions that were moved to files is listed under it twice when it bears it again",
    edits: [
      {
        file: "src/projections/graph/moved-labels.js",
        find: "return this.#known.has(slot * LABELS_MAX + label);",
        replace: "return false;",
      },
    ],
    caughtBy: modelled(500),
  },
  {
    name: "time-goes-back",
    what: "an event that was recorded while the clock was set back is earlier than those before it",
    edits: [
      {
        file: "src/projections/graph/recorded-clock.js",
        find: "if (recordedAt > this.time)",
        replace: "if (recordedAt !== this.time)",
      },
    ],
    caughtBy: modelled(500),
  },
  {
    name: "purge-breaks-chain",
    what: "a purge takes versions that were superseded after its horizon",
    edits: [
      {
        file: "src/projections/graph/timelines.js",
        find: "Math.max(0, closed.int(row, NEXT) - dropped));",
        replace: "0);",
      },
    ],
    caughtBy: modelled(500),
  },
];
