import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import type { StoreError } from "../../../src/errors.js";
import { type Anchor, parseAnchor, signedBytesOf } from "../../../src/wal/anchor/anchor.js";
import { checkSignature, signedAnchor, signingKey, verifyingKey } from "../../../src/wal/anchor/anchor-signature.js";
import { assert, rejects } from "../../support/assert.js";
import { suite } from "../../support/suite.js";

const test = suite("wal/anchor/anchor");

const PLAIN: Anchor = {
  version: 1,
  storeId: "000102030405060708090a0b0c0d0e0f",
  lsn: 0x0102030405,
  hash: "a0".repeat(32),
  at: -2,
};

/** The first test key of RFC 8032, in PKCS #8. */
function testKey(): KeyObject {
  const seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
  const der = Buffer.from(`302e020100300506032b657004220420${seed}`, "hex");
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}

function reasonOf(anchor: Anchor, key: KeyObject | null): string {
  try {
    checkSignature(anchor, key);
    return "holds";
  } catch (error) {
    assert.is((error as StoreError).code, "ERR_ANCHOR_SIGNATURE");
    return String((error as StoreError).details["reason"]);
  }
}

test("what is signed has the bytes that the format says", () => {
  const bytes = signedBytesOf(PLAIN);
  assert.is(
    bytes.toString("hex"),
    [
      "766172766520616e63686f7220310000", // "varve anchor 1"
      "000102030405060708090a0b0c0d0e0f",
      "0504030201000000",
      "a0".repeat(32),
      "feffffffffffffff",
    ].join(""),
  );
});

test("a signature is the one that any Ed25519 gives for these bytes and this key", () => {
  const signed = signedAnchor(PLAIN, testKey());
  assert.is(
    signed.publicKey,
    Buffer.from("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "hex").toString("base64"),
  );
  assert.is(
    signed.signature,
    "sSMUCS644PmEQo1AegJcSHFfkyu1XnY7YQXBktIMSppRdkj6NaHFt+2b8TwLzB+QWBou9p/USRNgYhqGRcE/Dw==",
  );
  assert.equal(parseAnchor(JSON.parse(JSON.stringify(signed))), signed);
  const { signature, publicKey, ...rest } = signed;
  assert.equal([rest, Buffer.from(signature ?? "", "base64").length], [PLAIN, 64]);
  assert.ok(publicKey);
});

test("a signature holds for the key that made it, and for nothing that was changed", () => {
  const key = testKey();
  const signed = signedAnchor(PLAIN, key);
  const other = generateKeyPairSync("ed25519");
  const publicKey = createPublicKey(key);
  assert.is(reasonOf(signed, publicKey), "holds");
  assert.is(reasonOf(signed, null), "holds");
  assert.is(reasonOf(PLAIN, null), "holds", "nobody asked for a signature");
  assert.is(reasonOf(PLAIN, publicKey), "unsigned");
  assert.is(reasonOf(signed, other.publicKey), "other-key");
  const changes: Partial<Anchor>[] = [
    { lsn: 7 },
    { at: -1 },
    { hash: "a1".repeat(32) },
    { storeId: "f".repeat(32) },
    { signature: signedAnchor({ ...PLAIN, lsn: 3 }, key).signature ?? "" },
  ];
  for (const change of changes) {
    assert.is(reasonOf({ ...signed, ...change }, publicKey), "broken");
    assert.is(reasonOf({ ...signed, ...change }, null), "broken");
  }
  // Somebody signs a changed one anew, and names the key that is expected; or one that is none.
  const forged = signedAnchor({ ...PLAIN, lsn: 7 }, other.privateKey);
  assert.is(reasonOf(forged, publicKey), "other-key");
  assert.is(reasonOf({ ...forged, publicKey: signed.publicKey ?? "" }, publicKey), "broken");
  for (const byte of [0, 0xff])
    assert.is(reasonOf({ ...signed, publicKey: Buffer.alloc(32, byte).toString("base64") }, null), "broken");
});

test("every bit of a signature counts", () => {
  const signed = signedAnchor(PLAIN, testKey());
  for (let bit = 0; bit < 512; bit++) {
    const bytes = Buffer.from(signed.signature ?? "", "base64");
    bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    assert.is(reasonOf({ ...signed, signature: bytes.toString("base64") }, null), "broken");
  }
});

test("what is no anchor is refused by the name of the field", async () => {
  const signed = signedAnchor(PLAIN, testKey());
  const wrong: [unknown, string][] = [
    [null, ""],
    ["x", ""],
    [[PLAIN], ""],
    [{}, "version"],
    [{ ...PLAIN, version: 2 }, "version"],
    [{ ...PLAIN, more: 1 }, "more"],
    [{ ...PLAIN, storeId: "00" }, "storeId"],
    [{ ...PLAIN, storeId: "Z".repeat(32) }, "storeId"],
    [{ ...PLAIN, lsn: "1" }, "lsn"],
    [{ ...PLAIN, lsn: -1 }, "lsn"],
    [{ ...PLAIN, lsn: 2 ** 53 }, "lsn"],
    [{ ...PLAIN, lsn: 0 }, "hash"],
    [{ ...PLAIN, hash: "A0".repeat(32) }, "hash"],
    [{ ...PLAIN, hash: undefined }, "hash"],
    [{ ...PLAIN, at: 0.5 }, "at"],
    [{ ...signed, signature: undefined }, "signature"],
    [{ ...signed, publicKey: undefined }, "publicKey"],
    [{ ...signed, signature: `${signed.signature} ` }, "signature"],
    [{ ...signed, signature: "AAAA" }, "signature"],
    [{ ...signed, publicKey: signed.signature }, "publicKey"],
  ];
  for (const [value, field] of wrong) {
    const error = (await rejects(() => parseAnchor(value), "ERR_ANCHOR_INVALID")) as StoreError;
    assert.is(error.details["field"], field, JSON.stringify(value));
  }
  assert.is(parseAnchor({ ...PLAIN, lsn: 0, hash: "0".repeat(64) }).lsn, 0);
});

test("a key that is none, or of another kind, is refused by the option's name", () => {
  const ed25519 = generateKeyPairSync("ed25519");
  const ed448 = generateKeyPairSync("ed448");
  const pem = { type: "pkcs8", format: "pem" } as const;
  assert.is(signingKey(ed25519.privateKey.export(pem)).asymmetricKeyType, "ed25519");
  assert.is(verifyingKey(ed25519.publicKey.export({ type: "spki", format: "pem" })).type, "public");
  for (const wrong of [
    null,
    5,
    "",
    "no PEM",
    Buffer.alloc(32),
    ed25519.publicKey,
    ed448.privateKey,
    ed448.privateKey.export(pem),
  ])
    assert.throws(() => signingKey(wrong), /option signWith/);
  for (const wrong of [null, 5, "", "no PEM", Buffer.alloc(32), ed25519.privateKey, ed448.publicKey])
    assert.throws(() => verifyingKey(wrong), /option publicKey/);
});
