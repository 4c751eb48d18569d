import { PEER_KINDS, Peer, type PeerKind } from "../../src/cli/peer.js";
import { isStoreError } from "../../src/errors.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("cli/peer");

function startEcho(kind: PeerKind, signal = new AbortController().signal): Peer<string, string, string> {
  return new Peer<string, string, string>(kind, new URL("./children/echo-peer.js", import.meta.url), "first", signal);
}

async function thrownBy(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => assert.unreachable("nothing was thrown"),
    (error: unknown) => error,
  );
}

for (const kind of PEER_KINDS) {
  test(`a ${kind} gets its task and its orders in order, and ends when its work does`, async () => {
    const peer = startEcho(kind);
    for (const order of ["a", "b"]) peer.send(order);
    assert.equal([await peer.next(), await peer.next(), await peer.next()], ["task first", "order a", "order b"]);
    peer.send("end");
    await peer.finish();
    assert.match(String(await thrownBy(peer.next())), /nothing more to report/);
  });

  test(`what a ${kind} throws is thrown where it is awaited, a StoreError with its code`, async () => {
    const refusing = startEcho(kind);
    refusing.send("refuse");
    assert.is(await refusing.next(), "task first");
    const refusal = await thrownBy(refusing.next());
    assert.ok(isStoreError(refusal, "ERR_STORE_LOCKED"));
    assert.equal([refusal.message, refusal.details], ["as asked", { directory: "there" }]);
    assert.is(await thrownBy(refusing.finish()), refusal);

    const throwing = startEcho(kind);
    throwing.send("throw");
    assert.match(String(await thrownBy(throwing.finish())), /RangeError: as asked/);
  });

  test(`a ${kind} that ends without a word is told`, async () => {
    const peer = startEcho(kind);
    assert.is(await peer.next(), "task first");
    peer.send("exit");
    assert.match(String(await thrownBy(peer.next())), `a ${kind} of the benchmark ended with 3`);
  });

  test(`a ${kind} is gone when it is killed, and when the signal aborts`, async () => {
    const killed = startEcho(kind);
    assert.is(await killed.next(), "task first");
    const waiting = thrownBy(killed.next());
    await killed.kill();
    assert.match(String(await waiting), "of the benchmark ended with");

    const abort = new AbortController();
    const aborted = startEcho(kind, abort.signal);
    assert.is(await aborted.next(), "task first");
    abort.abort();
    assert.match(String(await thrownBy(aborted.finish())), "of the benchmark ended with");
  });
}
