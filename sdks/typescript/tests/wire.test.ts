/** Bytes, codes, certificates, adverts: what both SDKs and the doors must read and write alike. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { metres, readAdvert } from "../src/advert.ts";
import { base45 } from "../src/base45.ts";
import { base64url, bigint, concat, equal, fromBase64url, fromHex, hex, number, uint, utf8 } from "../src/bytes.ts";
import { newSeal } from "../src/ccm.ts";
import { readCertificate, toBeSigned } from "../src/certificate.ts";
import { phoneCode } from "../src/code.ts";
import { decompress, kid, newSigningKey, point, sign, verify } from "../src/p256.ts";
import { named, passes, taps } from "./vectors.ts";

test("integers and base64url come back as they went", () => {
  for (const value of [0, 1, 255, 256, 2 ** 32, Number.MAX_SAFE_INTEGER]) assert.equal(number(uint(value, 8)), value);
  for (let length = 0; length < 70; length++) {
    const data = crypto.getRandomValues(new Uint8Array(length));
    assert.deepEqual(fromBase64url(base64url(data)), data);
    assert.equal(base64url(data), Buffer.from(data).toString("base64url"));
    assert.equal(hex(data), Buffer.from(data).toString("hex"));
  }
  assert.equal(bigint(new Uint8Array()), 0n);
  assert.equal(equal(fromHex("00ff"), fromHex("00ff")), true);
  assert.equal(equal(fromHex("00ff"), fromHex("00fe")), false);
  assert.equal(equal(fromHex("00"), fromHex("00ff")), false);
});

test("base45 is that of every pass in the vectors", () => {
  for (const vector of passes.vectors) {
    if (vector.cose) assert.equal(`LW1:${base45(fromHex(vector.cose))}`, vector.text, vector.name);
  }
});

test("a key is known by the thumbprint under which it is published", async () => {
  for (const { jwk } of passes.keys) {
    const publicPoint = concat(fromHex("04"), fromBase64url(jwk.x), fromBase64url(jwk.y));
    assert.equal(base64url(await kid(publicPoint)), jwk.kid);
  }
});

test("a phone's code is the vector's when the signature is", async () => {
  const vector = named(passes.vectors, "phone");
  const signature = fromHex(vector.cose.slice(-128));
  const key = passes.keys.find((each: any) => each.kind === "phone").jwk;
  const publicPoint = concat(fromHex("04"), fromBase64url(key.x), fromBase64url(key.y));
  let signed = false;
  const text = await phoneCode(
    fromHex(vector.claims["7"]),
    vector.claims["6"],
    fromBase64url(key.kid),
    async (message) => {
      signed = await verify(publicPoint, signature, message);
      return signature;
    },
  );
  assert.equal(text, vector.text);
  assert.equal(signed, true);
});

test("a point is what its compressed form says, and nothing else is a point", () => {
  for (const exchange of taps.exchanges) {
    const compressed = fromHex(exchange.messages[0]).slice(9, 42);
    const whole = decompress(compressed);
    assert.equal(whole.length, 65);
    assert.equal(compressed[0], 2 + (whole[64]! & 1));
    assert.deepEqual(whole.slice(1, 33), compressed.slice(1));
  }
  for (const key of [taps.phoneKey, taps.readerKey, taps.readersSigningKey]) {
    const whole = fromHex(key.publicKey);
    assert.deepEqual(decompress(concat(uint(2 + (whole[64]! & 1), 1), whole.slice(1, 33))), whole);
  }
  for (const wrong of [
    "",
    "02",
    `02${"ff".repeat(32)}`,
    `04${"01".repeat(32)}`,
    `02${"00".repeat(31)}01`.slice(0, 64),
  ]) {
    assert.throws(() => decompress(fromHex(wrong)), RangeError, wrong);
  }
});

test("half of all x are on the curve, and all of those come out as WebCrypto takes them", async () => {
  let found = 0;
  for (let at = 1; at <= 40; at++) {
    let whole;
    try {
      whole = decompress(concat(fromHex("03"), uint(at, 32)));
    } catch {
      continue;
    }
    found++;
    await crypto.subtle.importKey("raw", whole, { name: "ECDH", namedCurve: "P-256" }, true, []);
  }
  assert.ok(found > 8 && found < 32);
});

test("signatures are raw, and only the genuine ones are", async () => {
  const pair = await newSigningKey();
  assert.equal(pair.privateKey.extractable, false);
  const [publicPoint, message] = [await point(pair), utf8("what was said")];
  const signature = await sign(pair, message);
  assert.equal(signature.length, 64);
  assert.equal(await verify(publicPoint, signature, message), true);
  assert.equal(await verify(publicPoint, signature.slice(1), message), false);
  assert.equal(await verify(publicPoint, signature, utf8("what was not")), false);
  await assert.rejects(verify(publicPoint.slice(1), signature, message), RangeError);
  await assert.rejects(verify(concat(fromHex("04"), new Uint8Array(64)), signature, message), RangeError);
});

const FROM_PHONE = fromHex("000000000000000100000001");
const FROM_READER = fromHex("000000000000000200000001");

test("the seal is AES-256-CCM: that of every tap in the vectors", async () => {
  for (const exchange of taps.exchanges) {
    const seal = await newSeal(fromHex(exchange.sealKey));
    const sealed = exchange.messages[3].slice(4);
    assert.equal(hex(await seal.seal(FROM_PHONE, fromHex(exchange.identity))), sealed, exchange.name);
    assert.equal(hex((await seal.open(FROM_PHONE, fromHex(sealed)))!), exchange.identity, exchange.name);
    if (exchange.answer) {
      const answer = exchange.messages[4].slice(10);
      assert.equal(hex(await seal.seal(FROM_READER, fromHex(exchange.answer))), answer, exchange.name);
    }
  }
});

test("a seal opens what it sealed, of every length, and nothing that was altered", async () => {
  const seal = await newSeal(crypto.getRandomValues(new Uint8Array(32)));
  for (let length = 0; length <= 50; length++) {
    const message = crypto.getRandomValues(new Uint8Array(length));
    const sealed = await seal.seal(FROM_PHONE, message);
    assert.equal(sealed.length, length + 16);
    assert.deepEqual(await seal.open(FROM_PHONE, sealed), message);
    assert.equal(await seal.open(FROM_READER, sealed), null);
    const place = Math.floor(Math.random() * sealed.length);
    sealed[place]! ^= 1 << (place % 8);
    assert.equal(await seal.open(FROM_PHONE, sealed), null);
  }
  assert.equal(await seal.open(FROM_PHONE, new Uint8Array(15)), null);
  assert.equal(await seal.open(FROM_PHONE, new Uint8Array()), null);
});

function findKey(known: Uint8Array) {
  return hex(known) === taps.readersSigningKey.kid ? fromHex(taps.readersSigningKey.publicKey) : null;
}

for (const vector of taps.certificates) {
  test(`certificate: ${vector.name}`, async () => {
    const said = await readCertificate(fromHex(vector.certificate), findKey);
    if (vector.result === "refused") return assert.equal(said, null);
    assert.deepEqual(said, {
      site: fromHex(vector.site),
      reader: fromHex(vector.reader),
      publicKey: fromHex(vector.publicKey),
      issuedAt: vector.issuedAt,
      expiresAt: vector.expiresAt,
    });
  });
}

test("no certificate survives the flip of a bit of any byte, nor a cut", async () => {
  const genuine = fromHex(taps.certificate);
  for (let place = 0; place < genuine.length; place++) {
    const altered = genuine.slice();
    altered[place]! ^= 1 << (place % 8);
    assert.equal(await readCertificate(altered, findKey), null, `byte ${place}`);
    assert.equal(await readCertificate(genuine.slice(0, place), findKey), null);
  }
});

test("adverts are read as the vectors say", () => {
  for (const { data, result, ...said } of taps.adverts) {
    assert.deepEqual(readAdvert(fromHex(data)), result === "refused" ? null : said);
  }
  for (const { rssi, power, metres: away } of taps.distances) {
    assert.ok(Math.abs(metres(rssi, power) / away - 1) < 1e-3);
  }
});

test("what COSE signs begins with its context", () => {
  assert.equal(hex(toBeSigned(fromHex("40"), fromHex("40"))), "846a5369676e617475726531404040");
});
