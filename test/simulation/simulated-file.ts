/**
 * One file of the simulated disk: what reading it gives, and what of it a power cut leaves.
 *
 * Its changes stand in the order in which the device took them. A change is durable when it was written so or synced; the others may be on
 * the medium after a power cut wholly, by sectors of 512 bytes, or not at all, whatever came after them. Of a sector that several changes wrote,
 * any of their contents can be left. A power cut can also spoil the block of 4096 bytes that the device was just writing, with all that was in
 * it before: devices with such blocks read, change and write them as a whole, whatever size they say their sectors have. Pages are never changed in place, so that copies of a file share them.
 *
 * A failed sync is forgotten, as the kernel does it: what it should have made durable is never made so by a later sync.
 */

import type { Chance } from "./chance.js";

export const SECTOR_BYTES = 512;
const PAGE_BYTES = 4096;
const ZERO_PAGE = new Uint8Array(PAGE_BYTES);

/** How much of what is not durable a power cut leaves. */
export const CRASH_KINDS = ["none", "all", "each", "torn", "random", "spoilt"] as const;
export type CrashKind = (typeof CRASH_KINDS)[number];

/** The non-zero pages of a file by their number. */
type Pages = Map<number, Uint8Array>;

export interface Change {
  /** Null: the file gets the size, and loses what lies behind. */
  readonly bytes: Uint8Array | null;
  readonly offset: number;
  /** The file's, at least; exactly where nothing is written. */
  readonly size: number;
  isDurable: boolean;
  isForgotten: boolean;
}

interface Image {
  readonly pages: Pages;
  size: number;
}

function isZero(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, ZERO_PAGE) === 0;
}

/** Overlays the sectors that `reaches` says. */
function writeInto(image: Image, change: Change, reaches: (sector: number) => boolean): void {
  const { bytes, offset, size } = change;
  if (bytes === null) {
    cut(image, size);
    return;
  }
  const end = offset + bytes.length;
  for (let at = offset; at < end; ) {
    const page = Math.floor(at / PAGE_BYTES);
    const pageEnd = Math.min(end, (page + 1) * PAGE_BYTES);
    const isWhole = reaches === ALL && pageEnd - at === PAGE_BYTES;
    const content = isWhole
      ? bytes.subarray(at - offset, pageEnd - offset)
      : overlaid(image.pages.get(page), bytes, offset, at, pageEnd, reaches);
    if (isZero(content)) image.pages.delete(page);
    else image.pages.set(page, content);
    at = pageEnd;
  }
  image.size = Math.max(image.size, size);
}

function overlaid(
  before: Uint8Array | undefined,
  bytes: Uint8Array,
  offset: number,
  from: number,
  end: number,
  reaches: (sector: number) => boolean,
): Uint8Array {
  const page = Uint8Array.from(before ?? ZERO_PAGE);
  for (let at = from; at < end; ) {
    const sector = Math.floor(at / SECTOR_BYTES);
    const sectorEnd = Math.min(end, (sector + 1) * SECTOR_BYTES);
    if (reaches(sector)) page.set(bytes.subarray(at - offset, sectorEnd - offset), at % PAGE_BYTES);
    at = sectorEnd;
  }
  return page;
}

function cut(image: Image, size: number): void {
  if (size <= image.size) {
    for (const page of image.pages.keys()) if (page * PAGE_BYTES >= size) image.pages.delete(page);
    const last = image.pages.get(Math.floor(size / PAGE_BYTES));
    if (last !== undefined) {
      const kept = Uint8Array.from(last);
      image.pages.set(Math.floor(size / PAGE_BYTES), kept.fill(0, size % PAGE_BYTES));
    }
  }
  image.size = size;
}

const ALL = (): boolean => true;

function reachOf(kind: CrashKind, change: Change, chance: Chance): ((sector: number) => boolean) | null {
  const half = (): boolean => chance.integer(2) === 0;
  switch (kind) {
    case "none":
      return null;
    case "all":
      return ALL;
    case "each":
      return half() ? ALL : null;
    case "torn": {
      // A part from the beginning, or from the end.
      const sectors = Math.ceil((change.bytes?.length ?? 0) / SECTOR_BYTES);
      const first = Math.floor(change.offset / SECTOR_BYTES);
      const edge = first + chance.integer(sectors + 1);
      if (change.bytes === null) return half() ? ALL : null;
      return chance.integer(4) > 0 ? (sector) => sector < edge : (sector) => sector >= edge;
    }
    case "spoilt":
      return half() ? ALL : null;
    case "random":
      return change.bytes === null ? (half() ? ALL : null) : half;
  }
}

/** One of the blocks that the change writes, or none. */
function spoil(image: Image, { bytes, offset }: Change, chance: Chance): void {
  if (bytes === null || chance.integer(2) === 0) return;
  const first = Math.floor(offset / PAGE_BYTES);
  const page = first + chance.integer(Math.ceil((offset + bytes.length) / PAGE_BYTES) - first);
  const used = Math.min(PAGE_BYTES, image.size - page * PAGE_BYTES);
  if (used <= 0) return;
  const content = new Uint8Array(PAGE_BYTES);
  image.pages.set(page, content.fill(1 + chance.integer(255), 0, used));
}

export class SimulatedFile {
  /** Where it was created, for messages only. */
  readonly path: string;
  #stable: Image;
  #live: Image;
  /** Taken by the device, and not yet folded into the stable image. */
  #changes: Change[] = [];
  /** Being written. */
  readonly #inFlight = new Set<Change>();
  /** Rises with each change: what a modification time is for. */
  changeCount = 0;
  /** The whole file in memory, once somebody has mapped it. */
  memory: ArrayBuffer | null = null;

  constructor(path: string, image: { readonly pages: ReadonlyMap<number, Uint8Array>; readonly size: number } | null) {
    this.path = path;
    this.#stable = { pages: new Map(image?.pages), size: image?.size ?? 0 };
    this.#live = { pages: new Map(image?.pages), size: image?.size ?? 0 };
  }

  get size(): number {
    return this.#live.size;
  }

  /** Bytes from `offset` on, up to the end of the file; how many there were. */
  read(target: Uint8Array, offset: number): number {
    const end = Math.min(offset + target.length, this.size);
    for (let at = offset; at < end; ) {
      const page = Math.floor(at / PAGE_BYTES);
      const pageEnd = Math.min(end, (page + 1) * PAGE_BYTES);
      const bytes = this.#live.pages.get(page) ?? ZERO_PAGE;
      const start = at % PAGE_BYTES;
      target.set(bytes.subarray(start, start + pageEnd - at), at - offset);
      at = pageEnd;
    }
    return Math.max(0, end - offset);
  }

  /** A write that the device begins: until it lands, a power cut can leave any of its sectors. */
  begin(bytes: Uint8Array, offset: number): Change {
    const end = offset + bytes.length;
    // What lies within the file does not make it longer: that was done by what did, and may be lost with it.
    const change = { bytes, offset, size: end > this.size ? end : 0, isDurable: false, isForgotten: false };
    this.#inFlight.add(change);
    return change;
  }

  land(change: Change, isDurable: boolean): void {
    this.#inFlight.delete(change);
    change.isDurable = isDurable;
    this.#take(change);
  }

  /** What has landed, and lay in the device's cache, is flushed. */
  harden(change: Change): void {
    change.isDurable = true;
    this.#hardened(change);
  }

  /** It never reaches the device. */
  abandon(change: Change): void {
    this.#inFlight.delete(change);
  }

  write(bytes: Uint8Array, offset: number, isDurable: boolean): void {
    this.land(this.begin(bytes, offset), isDurable);
  }

  truncate(size: number): void {
    this.#take({ bytes: null, offset: 0, size, isDurable: false, isForgotten: false });
  }

  /** Reserves blocks, which read as zeros. */
  allocate(size: number): void {
    if (size > this.size) this.truncate(size);
  }

  #take(change: Change): void {
    this.changeCount++;
    writeInto(this.#live, change, ALL);
    this.#changes.push(change);
    if (change.isDurable) this.#hardened(change);
  }

  /** What is needed to find durable bytes again goes to the journal with all that changed the file's size before. */
  #hardened(change: Change): void {
    for (const before of this.#changes.slice(0, this.#changes.indexOf(change)))
      before.isDurable ||= before.bytes === null;
    this.#fold();
  }

  /** What a sync that begins now makes durable when it succeeds. */
  syncPoint(): () => void {
    const covered = [...this.#changes];
    return () => {
      for (const change of covered) if (!change.isForgotten) change.isDurable = true;
      this.#fold();
    };
  }

  /** A sync has failed: what it should have covered counts as clean from now on. */
  forget(): void {
    for (const change of this.#changes) if (!change.isDurable) change.isForgotten = true;
  }

  #fold(): void {
    let count = 0;
    for (const change of this.#changes) {
      if (!change.isDurable) break;
      writeInto(this.#stable, change, ALL);
      count++;
    }
    if (count > 0) this.#changes.splice(0, count);
  }

  /** What a power cut leaves of it. */
  afterPowerCut(kind: CrashKind, chance: Chance): SimulatedFile {
    const image: Image = { pages: new Map(this.#stable.pages), size: this.#stable.size };
    for (const change of [...this.#changes, ...this.#inFlight]) {
      const reaches = change.isDurable ? ALL : reachOf(kind, change, chance);
      if (reaches !== null) writeInto(image, change, reaches);
      if (kind === "spoilt" && !change.isDurable) spoil(image, change, chance);
    }
    if (this.memory !== null) this.#leaveMemory(image, kind, chance);
    cut(image, image.size);
    return new SimulatedFile(this.path, image);
  }

  /** The kernel writes mapped pages back whenever it likes: any mixture of old and new ones can be left. */
  #leaveMemory(image: Image, kind: CrashKind, chance: Chance): void {
    const bytes = new Uint8Array(this.memory as ArrayBuffer).slice();
    const change = { bytes, offset: 0, size: 0, isDurable: false, isForgotten: false };
    const reaches = reachOf(kind, change, chance);
    if (reaches !== null) writeInto(image, change, reaches);
  }

  /** The same, for another machine. Nothing may be in flight to it. */
  copy(): SimulatedFile {
    const file = new SimulatedFile(this.path, this.#stable);
    file.#live = { pages: new Map(this.#live.pages), size: this.#live.size };
    file.#changes = this.#changes.map((change) => ({ ...change }));
    return file;
  }

  page(number: number): Uint8Array {
    return this.#live.pages.get(number) ?? ZERO_PAGE;
  }

  /** One bit of a page, on the medium. Returns the offset of its byte. Nothing may be unflushed. */
  flipBit(page: number, random: Chance): number {
    const bytes = Uint8Array.from(this.#live.pages.get(page) ?? ZERO_PAGE);
    const used = Math.min(PAGE_BYTES, this.size - page * PAGE_BYTES);
    const at = random.integer(used);
    bytes[at] = (bytes[at] as number) ^ (1 << random.integer(8));
    this.#live.pages.set(page, bytes);
    this.#stable.pages.set(page, bytes);
    return page * PAGE_BYTES + at;
  }

  /** Its bytes in memory, shared by all who map it. */
  map(): ArrayBuffer {
    if (this.memory === null) {
      this.memory = new ArrayBuffer(this.size);
      this.read(new Uint8Array(this.memory), 0);
    }
    return this.memory;
  }

  /** Numbers of the pages that are not zero. */
  get pageNumbers(): number[] {
    return [...this.#live.pages.keys()].sort((a, b) => a - b);
  }
}
