import { generateKeyPairSync } from "node:crypto";
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { type CliRun, runCli, runJson } from "./support/run-cli.js";

const test = suite("cli/anchor");

const OK = 0;
const FAILED = 1;
const USAGE = 2;
const CONTRADICTED = 4;
const INCOMPARABLE = 8;

interface Place {
  readonly store: string;
  readonly folder: string;
  /** A file with that content. */
  readonly file: (name: string, content: string) => string;
}

async function makeStore(events: number): Promise<Place> {
  const folder = temporaryDirectory();
  const store = join(folder, "store");
  await append(store, events);
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  return { store, folder, file };
}

async function append(store: string, events: number): Promise<void> {
  for (let index = 0; index < events; index++)
    await runJson(["append", "--store", store, "--stream", "s", "--type", "T", "--data", String(index)]);
}

/** The exit code of a verification, and its error's code and reason. */
async function verify(store: string, parameters: readonly string[]): Promise<[number | null, string]> {
  const run = await runCli(["verify", "--store", store, "--json", ...parameters]);
  if (run.stderr === "") return [run.exitCode, ""];
  assert.is(run.stdout, "", "nothing is said to be right");
  const { error } = JSON.parse(run.stderr);
  return [run.exitCode, [error.code, error.details.reason].filter(Boolean).join(" ")];
}

test("what anchor prints verify takes, readable or not, signed or not", async () => {
  const { store, folder, file } = await makeStore(3);
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const signKey = file("key.pem", privateKey.export({ type: "pkcs8", format: "pem" }) as string);
  const pem = file("public.pem", publicKey.export({ type: "spki", format: "pem" }) as string);
  const runs: [string, CliRun][] = [
    ["readable", await runCli(["anchor", "--store", store])],
    ["json", await runCli(["anchor", "--store", store, "--json"])],
    ["signed", await runCli(["anchor", "--store", store, "--sign-key", signKey])],
  ];
  for (const [name, run] of runs) {
    assert.equal([run.exitCode, run.stderr], [OK, ""]);
    const path = file(`${name}.json`, run.stdout);
    assert.equal(await verify(store, ["--anchor", path]), [OK, ""]);
    const [result = {}] = await runJson(["verify", "--store", store, "--anchor", path]);
    const { anchor } = result["sealed"] as { anchor: Record<string, unknown> };
    assert.equal([anchor["lsn"], anchor["signedBy"] !== null, anchor["isTrusted"]], [3, name === "signed", false]);
    const expected = name === "signed" ? [OK, ""] : [CONTRADICTED, "ERR_ANCHOR_SIGNATURE unsigned"];
    assert.equal(await verify(store, ["--anchor", path, "--public-key", pem]), expected);
  }
  const signed = join(folder, "signed.json");
  const shown = await runCli(["verify", "--store", store, "--anchor", signed, "--public-key", pem]);
  assert.match(shown.stdout, /history of the anchor of \S+Z, up to LSN 3 \(signed by that key\)/);
  assert.match((await runCli(["verify", "--store", store, "--anchor", signed])).stdout, "said to be signed by ");
});

test("each way in which a store is not what the anchor says ends with its code", async () => {
  const { store, folder, file } = await makeStore(2);
  const older = join(folder, "older");
  cpSync(store, older, { recursive: true });
  await append(store, 2);
  const text = (await runCli(["anchor", "--store", store])).stdout;
  const path = file("anchor.json", text);
  const anchor = JSON.parse(text) as Record<string, unknown>;

  assert.equal(await verify(older, ["--anchor", path]), [CONTRADICTED, "ERR_ANCHOR_ROLLED_BACK ends-before"]);
  await append(older, 3);
  assert.equal(await verify(older, ["--anchor", path]), [CONTRADICTED, "ERR_ANCHOR_ROLLED_BACK sealed-less"]);
  await runJson(["checkpoint", "--store", older]);
  assert.equal(await verify(older, ["--anchor", path]), [CONTRADICTED, "ERR_ANCHOR_FORKED"]);
  const other = await makeStore(9);
  assert.equal(await verify(other.store, ["--anchor", path]), [CONTRADICTED, "ERR_ANCHOR_FOREIGN"]);

  await append(store, 1);
  await runJson(["compact", "--store", store]);
  await append(store, 2);
  await runJson(["checkpoint", "--store", store]);
  assert.equal(await verify(store, ["--anchor", path]), [OK, ""]);
  await runJson(["truncate", "--store", store, "--before", "6", "--without-archive"]);
  assert.equal(await verify(store, ["--anchor", path]), [INCOMPARABLE, "ERR_LOG_TRUNCATED"]);

  for (const content of [
    "",
    "{",
    "[]",
    JSON.stringify({ ...anchor, version: 2 }),
    JSON.stringify({ ...anchor, hash: 1 }),
  ])
    assert.equal(await verify(store, ["--anchor", file("bad.json", content)]), [INCOMPARABLE, "ERR_ANCHOR_INVALID"]);
});

test("files that are not there, and keys that are none, are named", async () => {
  const { store, folder, file } = await makeStore(1);
  const path = file("anchor.json", (await runCli(["anchor", "--store", store])).stdout);
  const noKey = file("no.pem", "no key");
  const codes = async (...parameters: string[]): Promise<unknown[]> => {
    const run = await runCli([...parameters, "--store", store, "--json"]);
    const { code, message } = JSON.parse(run.stderr).error;
    return [run.exitCode, code, /^(--[a-z-]+)/.exec(message)?.[1] ?? null];
  };
  assert.equal(await codes("verify", "--anchor", join(folder, "absent")), [FAILED, "ERR_IO_FAILED", null]);
  assert.equal(await codes("verify", "--public-key", noKey), [USAGE, "ERR_USAGE", "--public-key"]);
  assert.equal(await codes("verify", "--anchor", path, "--public-key", noKey), [USAGE, "ERR_USAGE", "--public-key"]);
  assert.equal(await codes("anchor", "--sign-key", noKey), [USAGE, "ERR_USAGE", "--sign-key"]);
  assert.equal(await codes("anchor", "--sign-key", join(folder, "absent")), [FAILED, "ERR_IO_FAILED", null]);
  const run = await runCli(["anchor", "--store", join(folder, "nowhere"), "--json"]);
  assert.equal([run.exitCode, JSON.parse(run.stderr).error.code], [FAILED, "ERR_STORE_NOT_FOUND"]);
});

test("without its key an encrypted store is held against no anchor, and does not pass", async () => {
  const { file, folder } = await makeStore(0);
  const store = join(folder, "secret");
  const key = file("store.key", "11".repeat(32));
  await runJson(["append", "--store", store, "--key-file", key, "--stream", "s", "--type", "T"]);
  const path = file("anchor.json", (await runCli(["anchor", "--store", store, "--key-file", key])).stdout);
  assert.equal(await verify(store, ["--key-file", key, "--anchor", path]), [OK, ""]);
  assert.equal(await verify(store, []), [OK, ""]);
  assert.equal(await verify(store, ["--anchor", path]), [FAILED, "ERR_KEY_MISSING"]);
});
