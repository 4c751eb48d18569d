import { generateKeyPairSync } from "node:crypto";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ForgetAttestation, verifyForgetAttestation } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/privacy");

function places(): { base: string; store: string; key: string; keys: string; all: string[] } {
  const base = temporaryDirectory();
  const [store, key, keys] = [join(base, "store"), join(base, "key"), join(base, "subjects")];
  writeFileSync(key, "1a".repeat(32));
  return { base, store, key, keys, all: ["--store", store, "--key-file", key, "--subject-keys", keys] };
}

const event = (text: string): string[] => ["append", "--stream", "talk", "--type", "Said", "--data", `"${text}"`];

test("a subject is named on the command line or in a line, read, and forgotten", async () => {
  const { base, store, key, all } = places();
  await runJson([...event("one"), "--subject", "ann", ...all]);
  const lines = join(base, "lines");
  writeFileSync(lines, '{"stream":"talk","type":"Said","data":"two","subject":"bob"}\n');
  await runJson(["import", "ndjson", lines, ...all]);
  for (const [line, problem] of [
    ['"subject":7', "no string"],
    ['"forgotten":true', "no content to import"],
    ['"sealed":true', "no content to import"],
    [`"subjectKeyId":"${"0".repeat(32)}"`, "say which"],
  ] as const) {
    writeFileSync(lines, `{"stream":"talk","type":"Said",${line}}\n`);
    const refused = await runFailing(["import", "ndjson", lines, ...all]);
    assert.is(refused.code, "ERR_IMPORT_SOURCE");
    assert.ok(String(refused.message).includes(problem), String(refused.message));
  }
  const talk = async (options: readonly string[]): Promise<unknown[]> => {
    const events = (await runJson(["read", "--stream", "talk", ...options])) as Record<string, unknown>[];
    return events.map(({ data, forgotten, sealed }) => data ?? forgotten ?? (sealed === true ? "sealed" : null));
  };
  assert.equal(await talk(all), ["one", "two"]);
  assert.equal(await talk(["--store", store, "--key-file", key]), ["sealed", "sealed"]);
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const pem = join(base, "attest.pem");
  writeFileSync(pem, privateKey.export({ type: "pkcs8", format: "pem" }));
  const [attestation] = (await runJson([
    "forget",
    "ann",
    ...all,
    "--attestation-key",
    pem,
  ])) as unknown as ForgetAttestation[];
  assert.ok(verifyForgetAttestation(attestation as ForgetAttestation, publicKey));
  assert.equal(await talk(all), [true, "two"]);
  const shown = await runCli(["read", "--stream", "talk", ...all]);
  assert.match(shown.stdout, /Said {2}\(forgotten\)/);
  assert.match(
    (await runCli(["read", "--stream", "talk", "--store", store, "--key-file", key])).stdout,
    /sealed by the subject key/,
  );
  assert.match((await runCli(["verify", ...all])).stdout, /1 are of forgotten subjects/);
  assert.match((await runCli(["verify", "--store", store, "--key-file", key])).stdout, /not looked into.* 2 events/);
  assert.match((await runCli(["forget", "nobody", ...all])).stdout, /no event was ever designated/);
});

test("what of it makes no sense is a usage error, and what is missing has its code", async () => {
  const { base, store, key, keys, all } = places();
  await runJson([...event("one"), "--subject", "ann", ...all]);
  const withKey = ["--store", store, "--key-file", key];
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
  writeFileSync(join(base, "rsa"), privateKey.export({ type: "pkcs8", format: "pem" }));
  for (const wrong of [
    ["forget", "ann", ...withKey],
    ["forget", ...all],
    ["forget", "ann", "--store", store, "--subject-keys", keys],
    ["forget", "ann", ...all, "--attestation-key", join(base, "none")],
    ["forget", "ann", ...all, "--attestation-key", join(base, "rsa")],
    ["append", "--stream", "talk", "--subject", "ann", ...all],
  ]) {
    assert.is((await runCli(wrong)).exitCode, 2, wrong.join(" "));
  }
  assert.is((await runFailing([...event("two"), "--subject", "ann", ...withKey])).code, "ERR_KEY_MISSING");
  assert.is((await runFailing(["rekey", ...withKey, "--new-key-file", key])).code, "ERR_KEY_MISSING");
});

test("a restore is told what was forgotten, and a rekeying seals the subjects' keys", async () => {
  const { base, store, key, keys, all } = places();
  await runJson([...event("one"), "--subject", "ann", ...all]);
  await runJson([...event("two"), "--subject", "bob", ...all]);
  await runJson(["backup", join(base, "backup"), ...all]);
  copyFileSync(keys, join(base, "old"));
  const [attestation] = await runJson(["forget", "ann", ...all]);
  writeFileSync(join(base, "ann.json"), JSON.stringify(attestation));
  copyFileSync(join(base, "old"), keys);
  const target = ["--store", `${store}-2`, "--key-file", key, "--subject-keys", keys];
  await runJson(["restore", join(base, "backup"), ...target, "--forgotten", join(base, "ann.json")]);
  const contents = async (options: readonly string[]): Promise<unknown[]> =>
    ((await runJson(["read", "--stream", "talk", ...options])) as Record<string, unknown>[]).map(
      ({ data, forgotten }) => data ?? forgotten,
    );
  assert.equal(await contents(target), [true, "two"]);
  const next = join(base, "next");
  writeFileSync(next, "2b".repeat(32));
  await runJson(["rekey", ...target, "--new-key-file", next]);
  assert.equal(await contents(["--store", `${store}-2`, "--key-file", next, "--subject-keys", keys]), [true, "two"]);
});
