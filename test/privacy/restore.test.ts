/** What was forgotten stays so when a store, its key file, or both come back from a copy. */

import { generateKeyPairSync } from "node:crypto";
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type ForgetAttestation,
  openReader,
  openStore,
  restoreStore,
  type Store,
  verifyForgetAttestation,
} from "../../src/index.js";
import { filesIn, keyOf } from "../encryption/support.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("privacy/restore");
let base = "";
let directory = "";
let subjectKeys = "";
let backup = "";
test.beforeEach(() => {
  base = temporaryDirectory();
  directory = join(base, "store");
  subjectKeys = join(base, "subjects");
  backup = join(base, "backup");
});

const encryption = () => ({ key: keyOf(1), subjectKeys });
const opened = (at = directory): Promise<Store> => openStore(at, { encryption: encryption() });

async function say(store: Store, text: string, subject: string): Promise<void> {
  await store.append("talk", { type: "Said", data: { text }, subject });
}

async function textsOf(store: Pick<Store, "readStream">): Promise<string[]> {
  const texts: string[] = [];
  for await (const { data, forgotten } of store.readStream("talk")) {
    texts.push(forgotten ? "forgotten" : (data as { text: string }).text);
  }
  return texts;
}

/** Ann and Bob, a backup and a copy of the key file with both; then Ann is forgotten. */
async function makeHistory(): Promise<ForgetAttestation> {
  const store = await opened();
  await say(store, "1", "ann");
  await say(store, "2", "bob");
  await store.backup(backup);
  copyFileSync(subjectKeys, `${subjectKeys}-old`);
  const attestation = await store.forget("ann");
  await store.close();
  return attestation;
}

test("a backup has no keys of subjects, and a store restored of it does not read what was forgotten since", async () => {
  await makeHistory();
  assert.not.ok(filesIn(backup).some((file) => file.includes("subjects")));
  await restoreStore(backup, `${directory}-2`, { encryption: encryption() });
  const reader = await openReader(`${directory}-2`, { encryption: encryption() });
  assert.equal(await textsOf(reader), ["forgotten", "2"]);
  await reader.close();
  const store = await opened(`${directory}-2`);
  assert.equal(await textsOf(store), ["forgotten", "2"]);
  const before = store.watermark;
  await store.close();
  const again = await opened(`${directory}-2`);
  assert.is(again.watermark, before, "it was logged once");
  assert.is((await again.forget("ann")).lsn, before);
  await again.close();
});

test("a key file that was put back from an older copy loses again what the log says is forgotten", async () => {
  const { keyIds } = await makeHistory();
  copyFileSync(`${subjectKeys}-old`, subjectKeys);
  const reader = await openReader(directory, { encryption: encryption() });
  assert.equal(await textsOf(reader), ["forgotten", "2"]);
  await reader.close();
  const store = await opened();
  assert.equal(await textsOf(store), ["forgotten", "2"]);
  const at = readFileSync(subjectKeys).indexOf(Buffer.from(keyIds[0] ?? "", "hex"));
  const sealed = readFileSync(subjectKeys).subarray(at + 36, at + 252);
  assert.ok(at >= 512 && sealed.every((byte) => byte === 0), "by opening alone");
  assert.equal((await store.forget("ann")).keyIds, keyIds);
  await store.close();
});

test("a reader with a key file of its own hears of what is forgotten when it looks again", async () => {
  const store = await opened();
  await say(store, "1", "ann");
  copyFileSync(subjectKeys, `${subjectKeys}-own`);
  const own = { key: keyOf(1), subjectKeys: `${subjectKeys}-own` };
  const reader = await openReader(directory, { encryption: own });
  assert.equal(await textsOf(reader), ["1"]);
  await store.forget("ann");
  await reader.refresh();
  const all: boolean[] = [];
  for await (const { forgotten, stream } of reader.readAll()) if (stream === "talk") all.push(forgotten);
  assert.equal(all, [true]);
  await reader.close();
  await store.close();
});

test("where both came back, what is told as forgotten is destroyed and logged again", async () => {
  const attestation = await makeHistory();
  const file = join(base, "attestations.json");
  writeFileSync(file, JSON.stringify([attestation]));
  const known = [file, attestation];
  for (const [index, given] of known.entries()) {
    copyFileSync(`${subjectKeys}-old`, subjectKeys);
    const target = `${directory}-${index}`;
    const options = { encryption: encryption(), forgotten: [given] };
    const plan = await restoreStore(backup, target, { ...options, dryRun: true });
    assert.is(plan.isDryRun, true);
    assert.equal(readFileSync(subjectKeys), readFileSync(`${subjectKeys}-old`));
    await restoreStore(backup, target, options);
    copyFileSync(`${subjectKeys}-old`, subjectKeys); // once more: the log has it now
    const store = await opened(target);
    assert.equal(await textsOf(store), ["forgotten", "2"]);
    await store.close();
  }
  copyFileSync(`${subjectKeys}-old`, subjectKeys);
  await restoreStore(backup, `${directory}-without`, { encryption: encryption() });
  const store = await opened(`${directory}-without`);
  assert.equal(await textsOf(store), ["1", "2"], "nobody has told it");
  await store.close();
});

test("much that was forgotten is logged a thousand at a time, also what the key file does not have", async () => {
  const attestation = await makeHistory();
  const keyIds = Array.from({ length: 2500 }, (_, index) => index.toString(16).padStart(32, "0"));
  const options = { encryption: encryption(), forgotten: [{ ...attestation, keyIds }, attestation] };
  await restoreStore(backup, `${directory}-2`, options);
  const store = await opened(`${directory}-2`);
  const counts: number[] = [];
  for await (const { type, data } of store.readStream("$retention")) {
    if (type === "varve.v1.SubjectForgotten") counts.push((data as { keyIds: string[] }).keyIds.length);
  }
  assert.equal(counts, [1, 1000, 1000, 500]);
  assert.equal(await textsOf(store), ["forgotten", "2"]);
  await store.close();
});

test("a list of what was forgotten that is none, or of another store, is refused before anything is restored", async () => {
  const attestation = await makeHistory();
  const refuse = async (forgotten: unknown, code: string | null, more: object = {}): Promise<void> => {
    const options = { encryption: encryption(), ...more, forgotten: forgotten as never };
    const expected = code === null ? (error: unknown) => error instanceof TypeError : (code as "ERR_IMPORT_SOURCE");
    await rejects(async () => restoreStore(backup, `${directory}-2`, options), expected as never);
    assert.not.ok(existsSync(`${directory}-2`));
  };
  const file = join(base, "file");
  await refuse("x", null);
  await refuse([7], null);
  await refuse([{ ...attestation, keyIds: ["x"] }], null);
  await refuse([attestation], null, { encryption: { key: keyOf(1) } });
  await refuse([{ ...attestation, storeId: "0".repeat(32) }], "ERR_WAL_FOREIGN");
  await refuse([file], "ERR_IMPORT_SOURCE");
  for (const text of ["not json", "[7]", "{}"]) {
    writeFileSync(file, text);
    await refuse([file], "ERR_IMPORT_SOURCE");
  }
});

test("an attestation says what was destroyed and nothing of whom, and is signed where a key is given", async () => {
  const store = await opened();
  await say(store, "1", "ann");
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  const plain = await store.forget("ann");
  assert.equal(Object.keys(plain).sort(), ["forgottenAt", "keyIds", "lsn", "storeId"]);
  assert.is(plain.storeId, store.storeId);
  assert.is(plain.lsn, store.watermark);
  assert.ok(Math.abs(plain.forgottenAt / 1000 - Date.now()) < 60_000);
  assert.not.ok(verifyForgetAttestation(plain, publicKey));
  const signed = await store.forget("ann", { attestationKey: privateKey });
  const { signature, ...fields } = signed;
  assert.equal(fields, plain);
  assert.ok(verifyForgetAttestation(signed, publicKey));
  assert.ok(
    verifyForgetAttestation(
      JSON.parse(JSON.stringify(signed)),
      publicKey.export({ type: "spki", format: "pem" }) as string,
    ),
  );
  assert.ok(verifyForgetAttestation(await store.forget("ann", { attestationKey: pem }), publicKey));
  for (const change of [
    { lsn: 1 },
    { keyIds: [] },
    { storeId: "0".repeat(32) },
    { forgottenAt: 1 },
    { signature: "AAAA" },
  ]) {
    assert.not.ok(verifyForgetAttestation({ ...signed, ...change }, publicKey), JSON.stringify(change));
  }
  assert.not.ok(verifyForgetAttestation(signed, generateKeyPairSync("ed25519").publicKey));
  const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 });
  for (const wrong of ["no pem", publicKey, rsa.privateKey, 7]) {
    const options = { attestationKey: wrong as never };
    await rejects(
      async () => store.forget("ann", options),
      (error) => error instanceof TypeError && error.message.includes("attestationKey"),
    );
  }
  assert.throws(() => verifyForgetAttestation(signed, privateKey), /publicKey/);
  assert.equal((await store.forget("nobody")).keyIds, []);
  await store.close();
});
