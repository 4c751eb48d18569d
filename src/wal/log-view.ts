/**
 * The log of one store, for reading only: writes no data, takes no lock, and works beside writers in other threads and processes.
 *
 * Beside writers that tell (live-control.ts) it serves up to W; else what the log attests as durable. After a crash that can be a few frames
 * less than the next writer will find: whether those are durable is not for a reader to decide.
 */

import { realpathSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { assert } from "../assert.js";
import { isStoreError, StoreError } from "../errors.js";
import { type BlockIo, BufferPool, type IoDescription, openIo } from "../ffi/index.js";
import { AdvanceListeners } from "./advance-listeners.js";
import type { CoreState } from "./control-file.js";
import type { CoreTail } from "./core-cursor.js";
import { adoptKeys } from "./crypt/adopt-keys.js";
import { FrameOpener } from "./crypt/frame-cipher.js";
import { StateCiphers } from "./crypt/state-cipher.js";
import { type EncryptionOptions, StoreKeys } from "./crypt/store-keys.js";
import { FileStates } from "./file-states.js";
import { acceptedLog, judgeLog, type RecoveryReport } from "./find-log.js";
import { FrameDelivery } from "./frame-delivery.js";
import { LogIndex } from "./frame-index.js";
import type { Frame } from "./frame-stream.js";
import { LiveControl } from "./live-control.js";
import type { LogFacts, ScanPosition } from "./log-facts.js";
import { LogReader } from "./log-reader.js";
import { scanLog } from "./log-scan.js";
import { LogWatch } from "./log-watch.js";
import type { LsnRange } from "./lsn-ranges.js";
import { type Manifest, NO_MANIFEST, readManifest } from "./manifest.js";
import { currentManifest } from "./manifest-change.js";
import type { KeyOf } from "./record-key.js";
import type { LogFrame } from "./sealed/sealed-format.js";
import { SealedLog } from "./sealed/sealed-log.js";
import { sealedDirectory } from "./sealed/sealed-name.js";
import { type CoreFiles, coreDirectory, listLog, segmentPath } from "./segment-name.js";
import { SharedWork } from "./shared-work.js";
import { manifestIn, newestManifestName, noStore } from "./store-directory.js";
import { SubjectKeys } from "./subjects/subject-keys.js";
import { TieredReader } from "./tiered-reader.js";
import { type SealedVerification, type VerifySealedOptions, verifySealed } from "./verify-sealed.js";
import { READ_CHUNK_BYTES, READ_CHUNKS_MAX } from "./wal.js";
import { coded } from "./write-failure.js";

/** A writer can be seen between two of its writes, which then looks like damage; but damage stays where it is, and that does not. */
const SCAN_TRIES_MAX = 20;
const SCAN_RETRY_MS = 20;
/** Reading on until what others attest is there: a core that was read first can have been written since. */
const PASSES_MAX = 4;

/** What a reader hears of the log. */
export interface ViewListener {
  /** The frame of visible records that are not sealed, in LSN order. */
  readonly onFrame: (frame: Frame) => void;
  /** What lies at or below that LSN is sealed: frames follow that lie above it, also where some between were not told. */
  readonly onCheckpoint?: (checkpointLsn: number) => void;
}

export class LogView {
  readonly directory: string;
  readonly storeId: Uint8Array;
  readonly io: IoDescription;
  readonly #io: BlockIo;
  readonly #pool: BufferPool;
  readonly #keys: StoreKeys | null;
  readonly #opener: FrameOpener;
  readonly #listener: ViewListener;
  readonly #live: LiveControl;
  readonly #watch: LogWatch;
  readonly #index = new LogIndex();
  readonly #hot: LogReader;
  readonly #reader: TieredReader;
  readonly #listeners = new AdvanceListeners();
  readonly #delivery: FrameDelivery;
  #position: ScanPosition = { incarnation: 0, lastLsn: 0, attestedLsn: 0, cores: new Map() };
  #segmentPaths = new Set<string>();
  #report: RecoveryReport | null = null;
  #watermark = 0;
  #checkpointLsn = 0;
  readonly #files = new FileStates();
  #seenManifest = "";
  #status: "open" | "closed" = "open";
  readonly #looks = new SharedWork(() => coded(() => this.#refresh()));

  /**
   * Reads what is not sealed of the log once, and tells of it. `isMapped`: single sealed events are read through mapped files.
   *
   * @throws StoreError `ERR_STORE_NOT_FOUND`, `ERR_WAL_CORRUPT`, `ERR_WAL_VERSION`, `ERR_WAL_FOREIGN`
   */
  static open(
    directory: string,
    listener: ViewListener,
    encryption: EncryptionOptions | null = null,
    isMapped = false,
  ): Promise<LogView> {
    return coded(() => LogView.#openWith(directory, listener, encryption, isMapped));
  }

  static async #openWith(
    directory: string,
    listener: ViewListener,
    encryption: EncryptionOptions | null,
    isMapped: boolean,
  ): Promise<LogView> {
    const path = await manifestIn(directory);
    const keys = encryption === null ? null : await StoreKeys.load(encryption);
    try {
      return await LogView.#openIn(realpathSync(directory), path, { listener, keys, isMapped });
    } catch (error) {
      keys?.close();
      throw error;
    }
  }

  static async #openIn(
    real: string,
    path: string,
    { listener, keys, isMapped }: { listener: ViewListener; keys: StoreKeys | null; isMapped: boolean },
  ): Promise<LogView> {
    const io = openIo("auto", path);
    const pool = new BufferPool(READ_CHUNK_BYTES, READ_CHUNKS_MAX);
    try {
      const found = await readManifest(real);
      // One that cannot be believed is for the scan to judge.
      const manifest = found.kind === "manifest" ? found.manifest : NO_MANIFEST;
      const storeId = Buffer.from(manifest.storeId, "hex");
      // Empty: the scan knows the manifest that counts.
      const sealed = await SealedLog.open({ io, pool, keys, directory: sealedDirectory(real), storeId, isMapped }, []);
      const view = new LogView(real, { io, pool, keys, listener, sealed }, { ...manifest, sealed: [] });
      try {
        await view.#scan();
      } catch (error) {
        view.#live.stop();
        await view.#reader.close();
        await io.close();
        view.#live.close();
        throw error;
      }
      return view;
    } catch (error) {
      await io.close();
      pool.close();
      throw error;
    }
  }

  private constructor(
    directory: string,
    parts: { io: BlockIo; pool: BufferPool; keys: StoreKeys | null; listener: ViewListener; sealed: SealedLog },
    manifest: Manifest,
  ) {
    this.directory = directory;
    this.storeId = Buffer.from(manifest.storeId, "hex");
    this.io = parts.io.description;
    this.#io = parts.io;
    this.#pool = parts.pool;
    this.#keys = parts.keys;
    this.#opener = new FrameOpener(parts.keys);
    this.#listener = parts.listener;
    this.#delivery = new FrameDelivery(this.#index, parts.listener.onFrame);
    this.#live = new LiveControl(directory, parts.io, {
      onNews: () => this.#watch.hearNews(),
      hasListeners: () => this.#listeners.size > 0,
    });
    this.#watch = new LogWatch({
      look: () => this.refresh(),
      hasListeners: () => this.#listeners.size > 0,
      isTold: () => this.#live.isLive,
      onFailure: () => this.#listeners.tell(this.#watermark),
    });
    this.#hot = new LogReader({
      ...parts,
      directory,
      storeId: this.storeId,
      manifest,
      index: this.#index,
      settled: [],
      tails: () => this.#live.tails(this.#position) ?? this.#scannedTails(),
    });
    this.#reader = new TieredReader({ directory, manifest, hot: this.#hot, sealed: parts.sealed });
  }

  /** Where the files ended when they were scanned; null when more was read since. */
  #scannedTails(): CoreTail[] | null {
    const { cores, lastLsn } = this.#position;
    if (this.#watermark > lastLsn) return null;
    return [...cores].map(([core, at]) => ({ core, segment: at.segment, endOffset: at.fileOffset }));
  }

  readonly #begin = ({ checkpointLsn }: Manifest): void => {
    if (checkpointLsn <= this.#checkpointLsn) return;
    this.#checkpointLsn = checkpointLsn;
    this.#listener.onCheckpoint?.(checkpointLsn);
  };

  /** Reads all that is not sealed, delivering the frames that are new and attested as soon as they are. */
  async #scan(): Promise<void> {
    let lastProblem = "";
    for (let tries = 1; ; tries++) {
      try {
        await this.#scanOnce();
        return;
      } catch (error) {
        const { message } = error as Error;
        if (!mayPass(error) || tries === SCAN_TRIES_MAX || message === lastProblem) throw error;
        lastProblem = message;
        await delay(SCAN_RETRY_MS);
      }
    }
  }

  async #scanOnce(): Promise<void> {
    await this.#files.see(await listLog(this.directory, 0));
    this.#delivery.restart();
    const place = { io: this.#io, pool: this.#pool, keys: this.#keys, directory: this.directory };
    const judged = await judgeLog(place, this.#delivery.take, this.#begin);
    if (judged === "absent") throw noStore(this.directory);
    const { manifest, facts } = judged;
    const newest = manifest.incarnations.at(-1)?.incarnation ?? 0;
    this.#live.follow(this.storeId, newest);
    this.#segmentPaths = new Set();
    this.#notice(facts);
    await this.#reader.useManifest(
      manifest,
      facts.segments.filter(({ incarnation }) => incarnation < newest),
    );
    const isBelow = facts.lastLsn < facts.attestedLsn && facts.strangerAt === null;
    // What one core attests another may have written since it was read.
    const isThere = isBelow && (await this.#readOnTo(facts.attestedLsn, manifest));
    const { report } = isThere ? acceptedLog({ ...judged, decision: SEEN_WHILE_WRITTEN }) : acceptedLog(judged);
    this.#report = report;
    this.#show();
  }

  #notice(facts: LogFacts): void {
    this.#position = facts.position;
    for (const { path } of facts.segments) this.#segmentPaths.add(path);
  }

  /** What is durable and there is visible now. */
  #show(): void {
    const { lastLsn, attestedLsn } = this.#position;
    const durableLsn = Math.max(attestedLsn, this.#live.watermark ?? 0);
    this.#watermark = Math.max(this.#watermark, Math.min(lastLsn, durableLsn));
    this.#delivery.through(this.#watermark);
    assert(this.#report !== null, "a log that is shown was judged");
    this.#report = { ...this.#report, lastLsn, attestedLsn: Math.min(lastLsn, attestedLsn) };
  }

  /** Reads what is new in these cores. */
  async #readOn(files: readonly CoreFiles[], manifest: Manifest): Promise<LogFacts> {
    this.#begin(manifest);
    adoptKeys(this.#keys, manifest, this.directory);
    const at = { directory: this.directory, storeId: this.storeId };
    const source = { io: this.#io, pool: this.#pool, opener: this.#opener, ...at };
    const facts = await scanLog({ ...source, manifest, files, from: this.#position, onFrame: this.#delivery.take });
    this.#notice(facts);
    return facts;
  }

  /** Reads on in all cores until everything up to the LSN is there. False: it is not. */
  async #readOnTo(lsn: number, manifest: Manifest): Promise<boolean> {
    let known = manifest;
    for (let pass = 1; pass <= PASSES_MAX; pass++) {
      const facts = await this.#readOn(await listLog(this.directory, 0), known);
      if (facts.strangerAt !== null) return false;
      if (facts.lastLsn >= lsn) return true;
      known = await currentManifest(this.directory); // voids are told there
      if (known.incarnations.at(-1)?.incarnation !== this.#position.incarnation) return false;
    }
    return false;
  }

  /** The highest visible LSN. */
  get watermark(): number {
    return this.#watermark;
  }

  /** W as the writers tell it at this moment; null where none does. What lies above `watermark` is seen after the next `refresh`. */
  get toldWatermark(): number | null {
    return this.#live.isLive ? this.#live.watermark : null;
  }

  /** What the last look at the log found. */
  get report(): RecoveryReport {
    assert(this.#report !== null, "an open view has scanned its log");
    return this.#report;
  }

  get status(): "open" | "closed" {
    return this.#status;
  }

  get segmentCount(): number {
    return this.#segmentPaths.size;
  }

  /**
   * Looks whether writers have gone on; true when there is more to read. Everything that was durable when it was asked is there afterwards: who
   * asks while the files are looked at is answered by another look, one for all who ask meanwhile.
   */
  refresh(): Promise<boolean> {
    return this.#looks.ask();
  }

  async #refresh(): Promise<boolean> {
    if (this.#status === "closed") return false;
    const before = this.#watermark;
    await this.#look();
    if (this.#watermark === before) return false;
    this.#listeners.tell(this.#watermark);
    return true;
  }

  /**
   * Beside writers that tell: takes their word for W and for the checkpoint, and reads what is new as they do, without a look at the
   * directories. False where nobody tells, or the files hold something else than was told.
   */
  async #followLive(): Promise<boolean> {
    const { incarnation } = this.#position;
    if (this.#live.incarnation !== incarnation) return false;
    try {
      if (this.#live.sealingSequence > this.#reader.manifest.sequence) await this.#reader.refresh();
      const { manifest } = this.#reader;
      if (manifest.incarnations.at(-1)?.incarnation !== incarnation) return false;
      this.#begin(manifest);
      const through = this.#live.watermark ?? 0;
      for await (const frame of this.#hot.frames(Math.max(this.#delivery.deliveredLsn, this.#checkpointLsn), through)) {
        const { core, segment } = frame.header;
        this.#segmentPaths.add(segmentPath(coreDirectory(this.directory, core), segment));
        this.#delivery.deliver(frame);
      }
      this.#watermark = Math.max(this.#watermark, through);
    } catch (error) {
      if (!mayPass(error)) throw error;
      return false;
    } finally {
      this.#delivery.restart(this.#watermark);
    }
    this.#report = { ...this.report, lastLsn: this.#watermark };
    return true;
  }

  async #look(): Promise<void> {
    if (await this.#followLive()) return;
    const manifestName = await newestManifestName(this.directory);
    const changed = await this.#files.see(await listLog(this.directory, 0));
    const { lastLsn, attestedLsn, incarnation } = this.#position;
    this.#live.follow(this.storeId, incarnation);
    const wantedLsn = Math.max(attestedLsn, this.#live.watermark ?? 0);
    if (changed.length === 0 && manifestName === this.#seenManifest && lastLsn >= wantedLsn) {
      if (wantedLsn > this.#watermark) this.#show();
      return;
    }
    const manifest = await currentManifest(this.directory);
    const isSame = manifest.incarnations.at(-1)?.incarnation === incarnation;
    if (!isSame || !(await this.#catchUp(changed, manifest, wantedLsn))) await this.#scan();
    else await this.#useManifest(manifest);
    this.#seenManifest = manifestName;
    this.#show();
  }

  async #useManifest(manifest: Manifest): Promise<void> {
    try {
      await this.#reader.useManifest(manifest, []);
    } catch (error) {
      // Its segments can be gone when there is a later one already.
      const newest = await currentManifest(this.directory);
      if (newest.sequence === manifest.sequence) throw error;
      await this.#scan();
    }
  }

  /** Reads what is new; false when something of what is attested does not turn up. */
  async #catchUp(changed: readonly CoreFiles[], manifest: Manifest, wantedLsn: number): Promise<boolean> {
    try {
      const facts = await this.#readOn(changed, manifest);
      if (facts.strangerAt !== null) return false;
      const attestedLsn = Math.max(facts.attestedLsn, wantedLsn);
      return facts.lastLsn >= attestedLsn || (await this.#readOnTo(attestedLsn, manifest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ENOENT" && code !== "ERR_KEY_MISSING") throw error;
      return false; // dropped by a checkpoint while it was read, or the manifest was older than the key
    }
  }

  /** For the states of projections; null for a store that is not encrypted. */
  get stateCiphers(): StateCiphers | null {
    return this.#keys === null ? null : new StateCiphers(this.#keys, this.storeId);
  }

  openSubjects(path: string, isExpected: boolean): Promise<SubjectKeys> {
    const { directory, storeId } = this;
    const place = { path, directory, storeId, keys: this.#keys, isExpected };
    return SubjectKeys.open({ ...place, isWriting: false, busyWaitMs: 0 });
  }

  /** Reading of single streams in what is sealed. */
  get tiers(): TieredReader {
    return this.#reader;
  }

  frames(after: number, through: number): AsyncGenerator<LogFrame, void, undefined> {
    return this.#reader.frames(after, through);
  }

  framesBackwards(through: number, after?: number): AsyncGenerator<LogFrame, void, undefined> {
    return this.#reader.framesBackwards(through, after);
  }

  frameOf(lsn: number): Promise<LogFrame> {
    return this.#reader.frameOf(lsn);
  }

  /** The last LSN that a truncation has dropped; 0: none. */
  get horizonLsn(): number {
    return this.#reader.manifest.horizonLsn;
  }

  /** Reads and checks every byte of what is sealed; with an anchor also that it is the history which that is of. */
  verifySealed(keyOf: KeyOf, options?: VerifySealedOptions): Promise<SealedVerification> {
    const lastLsn = (): number => this.#watermark;
    const place = { io: this.#io, directory: this.directory, keyOf, keys: this.#keys, lastLsn };
    return verifySealed(place, options).catch((error: unknown) => {
      if (this.#status === "open" || isStoreError(error)) throw error;
      // What it was reading was closed under it.
      throw new StoreError("ERR_STORE_CLOSED", "the store was closed while it was verified", {}, { cause: error });
    });
  }

  /** LSNs that writers took and lost: no record has them. Ascending. */
  get voids(): readonly LsnRange[] {
    return this.#reader.voids;
  }

  /** What the cores of a store that is being written tell of themselves; nothing where nobody writes. */
  cores(): CoreState[] {
    return this.#live.cores();
  }

  /** With a listener the view follows the writers, and `refresh` needs not be called. When nothing will come any more `failure` says why. */
  onAdvance(listener: (watermark: number) => void): () => void {
    const isFirst = this.#listeners.size === 0;
    const stop = this.#listeners.add(listener);
    this.#live.arm();
    if (isFirst) this.#watch.begin();
    // Told before anybody listened: the next news may be long in coming.
    if ((this.toldWatermark ?? 0) > this.#watermark) this.#watch.hearNews();
    return stop;
  }

  /** What is wrong with the log that those who listen wait for; null: nothing that is known. */
  get failure(): Error | null {
    return this.#watch.failure;
  }

  async close(): Promise<void> {
    if (this.#status === "closed") return;
    this.#status = "closed";
    this.#live.stop();
    this.#watch.close();
    await this.#looks.settled(); // of what failed its caller is told
    this.#listeners.tell(this.#watermark);
    try {
      await this.#reader.close();
      await this.#io.close();
    } finally {
      this.#keys?.close();
    }
    this.#pool.close();
    this.#live.close();
  }
}

/** What a log is taken for that was written while it was read, and turned out to be whole. */
const SEEN_WHILE_WRITTEN = { row: "@J", action: "fence", rewrite: false, reportTornTail: false } as const;

/**
 * A checkpoint drops files while they are read, and a file can be seen between two writes; a writer can have gone over to a key that was not in
 * the manifest yet when that was read.
 */
function mayPass(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || isStoreError(error, "ERR_WAL_CORRUPT") || isStoreError(error, "ERR_KEY_MISSING");
}
