import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checksum } from "../../src/wal/checksum.js";
import {
  decodeManifest,
  encodeManifest,
  type Incarnation,
  type Manifest,
  readManifest,
  writeManifest,
} from "../../src/wal/manifest.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("wal/manifest");

const MANIFEST: Manifest = {
  sequence: 3,
  storeId: "00112233445566778899aabbccddeeff",
  createdAt: 1_763_700_000_000_000,
  checkpointLsn: 7,
  horizonLsn: 0,
  sealed: [{ number: 1, firstLsn: 1, lastLsn: 7, byteLength: 4096, hash: "00ff" }],
  incarnations: [
    { incarnation: 1, firstLsn: 1, lastLsn: 10, firstSegments: [1], voids: [[4, 5]] },
    { incarnation: 4, firstLsn: 11, lastLsn: null, firstSegments: [3, 1, 2], voids: [[12, 12]] },
  ],
};

function names(directory: string): string[] {
  return readdirSync(directory).sort();
}

test("a manifest comes back as it was written, as text that a person can read", () => {
  const bytes = encodeManifest(MANIFEST);
  assert.equal(decodeManifest(bytes), { kind: "manifest", manifest: MANIFEST });
  const dropped = { ...MANIFEST, horizonLsn: 7 };
  assert.equal(decodeManifest(encodeManifest(dropped)), { kind: "manifest", manifest: dropped });
  const { horizonLsn: _, ...before } = MANIFEST;
  assert.equal(decodeManifest(encodeManifest(before as Manifest)), { kind: "manifest", manifest: MANIFEST });
  assert.match(bytes.toString(), /^varve-manifest 2 [0-9a-f]{8}\n\{"sequence":3,.*\}\n$/);
});

test("every single flipped bit is damage, never another manifest and never another version", () => {
  const bytes = encodeManifest(MANIFEST);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.is(decodeManifest(flipped).kind, "damaged", `bit ${bit}`);
  }
});

test("what holds its checksum and cannot be a manifest is damaged", () => {
  const [first, second] = MANIFEST.incarnations as [Incarnation, Incarnation];
  const impossible: [string, unknown][] = [
    ["no object", [1]],
    ["no sequence", { ...MANIFEST, sequence: undefined }],
    ["sequence", { ...MANIFEST, sequence: 0 }],
    ["store id", { ...MANIFEST, storeId: "0011" }],
    ["createdAt", { ...MANIFEST, createdAt: "yesterday" }],
    ["checkpoint", { ...MANIFEST, checkpointLsn: -1 }],
    ["a horizon where no segment ends", { ...MANIFEST, horizonLsn: 5 }],
    ["a horizon below nothing", { ...MANIFEST, horizonLsn: -1 }],
    ["no sealed", { ...MANIFEST, sealed: undefined }],
    ["sealed above the checkpoint", { ...MANIFEST, checkpointLsn: 6 }],
    ["sealed twice", { ...MANIFEST, sealed: [...MANIFEST.sealed, ...MANIFEST.sealed] }],
    ["sealed without bytes", { ...MANIFEST, sealed: [{ ...MANIFEST.sealed[0], byteLength: 0 }] }],
    ["no incarnations", { ...MANIFEST, incarnations: {} }],
    ...(
      [
        ["in the wrong order", [second, first]],
        ["an open one before another", [{ ...first, lastLsn: null }, second]],
        ["ends before it begins", [{ ...first, lastLsn: -1 }, second]],
        ["no whole number", [{ ...first, firstLsn: 1.5 }, second]],
        ["too large a number", [{ ...first, lastLsn: 2 ** 53 }, second]],
        ["begins before the one before", [{ ...first, firstLsn: 12, lastLsn: 12, voids: [] }, second]],
        ["segments before those of the one before", [{ ...first, firstSegments: [4] }, second]],
        ["segments of a core that the next one forgets", [{ ...first, firstSegments: [1, 1, 1, 2] }, second]],
        ["segment zero", [first, { ...second, firstSegments: [3, 0] }]],
        ["more cores than there can be", [first, { ...second, firstSegments: Array.from({ length: 65 }, () => 5) }]],
        ["a void that ends before it begins", [{ ...first, voids: [[5, 4]] }, second]],
        ["a void behind the end", [{ ...first, voids: [[10, 11]] }, second]],
        ["a void before the beginning", [first, { ...second, voids: [[10, 11]] }]],
        [
          "voids that overlap",
          [
            {
              ...first,
              voids: [
                [1, 4],
                [4, 5],
              ],
            },
            second,
          ],
        ],
        ["a void of three numbers", [{ ...first, voids: [[1, 2, 3]] }, second]],
        ["no voids", [first, { ...second, voids: null }]],
      ] as const
    ).map(([what, incarnations]): [string, unknown] => [what, { ...MANIFEST, incarnations }]),
  ];
  for (const [what, manifest] of impossible)
    assert.is(decodeManifest(encodeManifest(manifest as Manifest)).kind, "damaged", what);
  const start = "varve-manifest 2 ";
  for (const body of ["", "{", "null"]) {
    const crc = checksum(Buffer.from(start + body))
      .toString(16)
      .padStart(8, "0");
    assert.is(decodeManifest(Buffer.from(`${start}${crc}\n${body}\n`)).kind, "damaged", body);
  }
});

test("a manifest that was cut anywhere is damaged", () => {
  const bytes = encodeManifest(MANIFEST);
  for (let length = 0; length < bytes.length; length++)
    assert.is(decodeManifest(bytes.subarray(0, length)).kind, "damaged", `${length} bytes`);
  assert.is(decodeManifest(Buffer.concat([bytes, Buffer.from("\n")])).kind, "damaged");
});

test("a manifest of a newer version says so", () => {
  const body = '{"unheard":"of"}';
  const start = "varve-manifest 4 ";
  const crc = checksum(Buffer.from(start + body))
    .toString(16)
    .padStart(8, "0");
  assert.equal(decodeManifest(Buffer.from(`${start}${crc}\n${body}\n`)), { kind: "newer", version: 4 });
});

test("the newest manifest counts, two are kept, and other files are left alone", async () => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, "manifest-notes.txt"), "mine");
  assert.equal(await readManifest(directory), { kind: "absent" });
  for (let sequence = 1; sequence <= 12; sequence++) await writeManifest(directory, { ...MANIFEST, sequence });
  assert.equal(names(directory), ["manifest-0000000011", "manifest-0000000012", "manifest-notes.txt"]);
  const found = await readManifest(directory);
  assert.equal(found, { kind: "manifest", manifest: { ...MANIFEST, sequence: 12 }, damagedFiles: [] });
});

test("behind a damaged manifest the one before counts, and the damaged one is named", async () => {
  const directory = temporaryDirectory();
  await writeManifest(directory, { ...MANIFEST, sequence: 1 });
  await writeManifest(directory, { ...MANIFEST, sequence: 2 });
  const newest = join(directory, "manifest-0000000002");
  writeFileSync(newest, readFileSync(newest).fill(0, 30, 40));
  const found = await readManifest(directory);
  assert.equal(found, { kind: "manifest", manifest: { ...MANIFEST, sequence: 1 }, damagedFiles: [newest] });
});

test("when all are damaged that is told, and not that there is none", async () => {
  const directory = temporaryDirectory();
  for (const sequence of [1, 2]) {
    await writeManifest(directory, { ...MANIFEST, sequence });
    writeFileSync(join(directory, `manifest-000000000${sequence}`), "");
  }
  const files = [join(directory, "manifest-0000000002"), join(directory, "manifest-0000000001")];
  assert.equal(await readManifest(directory), { kind: "damaged", files });
});

test("a newer manifest is not passed over for an older one", async () => {
  const directory = temporaryDirectory();
  await writeManifest(directory, { ...MANIFEST, sequence: 1 });
  const crc = checksum(Buffer.from("varve-manifest 9 {}")).toString(16).padStart(8, "0");
  writeFileSync(join(directory, "manifest-0000000002"), `varve-manifest 9 ${crc}\n{}\n`);
  assert.equal(await readManifest(directory), { kind: "newer", version: 9 });
});

test("a manifest that cannot be written is an error, and the one before still counts", async () => {
  const directory = temporaryDirectory();
  await writeManifest(directory, { ...MANIFEST, sequence: 1 });
  mkdirSync(join(directory, "manifest-0000000002"));
  writeFileSync(join(directory, "manifest-0000000002", "in the way"), "");
  await rejects(writeManifest(directory, { ...MANIFEST, sequence: 2 }), () => true);
  rmSync(join(directory, "manifest-0000000002"), { recursive: true });
  assert.equal(names(directory), ["manifest-0000000001"]);
});

test("a directory that is not there has no manifest", async () => {
  assert.equal(await readManifest(join(temporaryDirectory(), "absent")), { kind: "absent" });
});
