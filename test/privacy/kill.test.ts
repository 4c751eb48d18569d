/** Killed at any call on the file of subject keys: no event without its key, no half forgetting, and no file that nobody can open. */

import { spawnSync } from "node:child_process";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { openStore, rekeyStore, type Store } from "../../src/index.js";
import { keyOf } from "../encryption/support.js";
import { assert } from "../support/assert.js";
import { runChild } from "../support/child-process.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("privacy/kill");
const CHILD = new URL("./children/subject-life.js", import.meta.url);
/** Those that change something. strace counts each kind for itself, in each thread. */
const CHANGES = ["pwrite64", "fdatasync", "rename"];
const OTHERS = ["write", "fsync", "unlink", "openat", "flock"];
const CALLS = process.env["VARVE_FUZZ"] === "all" ? [...CHANGES, ...OTHERS] : CHANGES;
const KILLS_MAX = 40;

interface Place {
  readonly directory: string;
  readonly subjectKeys: string;
}

function placeIn(base: string): Place {
  return { directory: join(base, "store"), subjectKeys: join(base, "subjects") };
}

/** Lines of what the child had said when it was killed at its call with that number on these files. */
async function killedAt(
  place: Place,
  call: string,
  count: number,
  work: string,
): Promise<{ said: string[]; hasEnded: boolean }> {
  const { directory, subjectKeys } = place;
  const inject = `inject=${call}:signal=KILL:when=${count}`;
  const paths = ["-P", subjectKeys, "-P", `${subjectKeys}.tmp`];
  const under = ["strace", "-f", "-qq", "-o", "/dev/null", ...paths, "-e", inject];
  const env = { UV_THREADPOOL_SIZE: "1" };
  const child = await runChild(CHILD, { arguments: [directory, subjectKeys, work], under, env });
  const hasEnded = child.code === 0;
  assert.ok(hasEnded || child.signal === "SIGKILL" || child.code === 137, `${child.code} ${child.stderr}`);
  return { said: child.stdout.split("\n"), hasEnded };
}

/** Does the work for each call of each kind until it says that nothing was killed any more; says how often something was. */
async function atEachCall(work: (call: string, count: number) => Promise<boolean>): Promise<number> {
  let kills = 0;
  for (const call of CALLS) {
    for (let count = 1; !(await work(call, count)); count++) {
      kills++;
      assert.ok(count < KILLS_MAX, "the child ends at last");
    }
  }
  return kills;
}

/** Of each event its text, or `forgotten`, by stream. */
async function readBack(store: Store, stream: string): Promise<string[]> {
  const texts: string[] = [];
  for await (const { data, forgotten } of store.readStream(stream)) {
    texts.push(forgotten ? "forgotten" : (data as { text: string }).text);
  }
  return texts;
}

function judge(said: readonly string[], ann: readonly string[], bob: readonly string[]): void {
  const [saidOf, isForgetting] = [(text: string) => said.includes(text), said.includes("forgetting")];
  assert.ok(!saidOf("bob-1") || bob[0] === "bob-1", `${bob}`);
  assert.ok(bob.every((text) => text === "bob-1"));
  const annBefore = ann.slice(0, 2);
  if (saidOf("ann-1")) assert.ok(annBefore.length >= 1);
  if (saidOf("ann-2")) assert.is(annBefore.length, 2);
  const isGone = annBefore.includes("forgotten");
  if (isGone) assert.ok(isForgetting && annBefore.every((text) => text === "forgotten"), `${ann}`);
  else assert.equal(annBefore, ["ann-1", "ann-2"].slice(0, annBefore.length));
  if (saidOf("forgotten")) assert.ok(isGone);
  if (saidOf("ann-3")) assert.is(ann[2], "ann-3");
}

const name = "a writer that is killed at any call on the file of subject keys";
const rekeyName = "a rekeying that is killed at any call on the file of subject keys is gone on with";
if (spawnSync("strace", ["-V"]).status !== 0) {
  test.skip(name, "strace is not installed");
  test.skip(rekeyName, "strace is not installed");
} else {
  test(
    name,
    async () => {
      const kills = await atEachCall(async (call, count) => {
        const place = placeIn(temporaryDirectory());
        const { said, hasEnded } = await killedAt(place, call, count, "life");
        if (hasEnded) return true;
        const { directory, subjectKeys } = place;
        const encryption = { key: keyOf(1), subjectKeys };
        for (let opening = 0; opening < 2; opening++) {
          const store = await openStore(directory, { encryption });
          judge(said, await readBack(store, "ann"), await readBack(store, "bob"));
          await store.close();
        }
        // Whether or not it was begun, it can be ended, and begun anew.
        const store = await openStore(directory, { encryption });
        await store.forget("ann");
        await store.append("ann", { type: "Said", data: { text: "later" }, subject: "ann" });
        const texts = await readBack(store, "ann");
        assert.equal(texts, [...texts.slice(1).map(() => "forgotten"), "later"]);
        await store.close();
        return false;
      });
      assert.ok(kills > 10, `${kills} kills`);
    },
    { timeoutMs: 300_000 },
  );

  test(
    rekeyName,
    async () => {
      const base = temporaryDirectory();
      const whole = placeIn(base);
      const store = await openStore(whole.directory, { encryption: { key: keyOf(1), subjectKeys: whole.subjectKeys } });
      for (const subject of ["ann", "bob"]) {
        await store.append(subject, { type: "Said", data: { text: subject }, subject });
      }
      await store.forget("ann");
      await store.close();
      const kills = await atEachCall(async (call, count) => {
        const at = temporaryDirectory();
        const { directory, subjectKeys } = placeIn(at);
        cpSync(base, at, { recursive: true });
        const { hasEnded } = await killedAt({ directory, subjectKeys }, call, count, "rekey");
        const encryption = { key: keyOf(2), otherKeys: [keyOf(1)], subjectKeys };
        if (!hasEnded) await rekeyStore(directory, { encryption });
        const again = await openStore(directory, { encryption: { key: keyOf(2), subjectKeys } });
        assert.equal(await readBack(again, "ann"), ["forgotten"]);
        assert.equal(await readBack(again, "bob"), ["bob"]);
        await again.close();
        return hasEnded;
      });
      assert.ok(kills > 3, `${kills} kills`);
    },
    { timeoutMs: 300_000 },
  );
}
