/** The phone's side of a tap, against the same vectors as the reader's. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { concat, fromHex, hex } from "../src/bytes.ts";
import { newSeal } from "../src/ccm.ts";
import { type PhoneIdentity, PhoneSide, TapFailed, type TapRequest, type Trust } from "../src/tap.ts";
import { keyPair, taps } from "./vectors.ts";

const FROM_PHONE = fromHex("000000000000000100000001");
const [first] = taps.exchanges;
const requested = taps.exchanges.filter((each: any) => each.request);

function trust(other: { now?: number; wanted?: string } = {}): Trust {
  return {
    site: (site) => hex(site) === taps.site,
    reader: (reader) => other.wanted === undefined || hex(reader) === other.wanted,
    findKey: (kid) => (hex(kid) === taps.readersSigningKey.kid ? fromHex(taps.readersSigningKey.publicKey) : null),
    now: other.now ?? taps.now,
  };
}

function identity(exchange: any): PhoneIdentity {
  return {
    publicKey: fromHex(taps.phoneKey.publicKey),
    updatedAt: taps.updatedAt,
    sign: async (message) => {
      assert.equal(hex(message), exchange.transcript);
      return fromHex(exchange.identitySignature);
    },
  };
}

async function phone(exchange: any = first, other: { now?: number; wanted?: string } = {}): Promise<PhoneSide> {
  const begin = exchange.messages[1].slice(4, 134);
  return new PhoneSide(
    identity(exchange),
    request(exchange),
    trust(other),
    await keyPair(exchange.phoneTransient, begin, "ECDH"),
  );
}

function request(exchange: any): TapRequest {
  const { rssi, ...said } = exchange.request;
  return { ...said, rssi: rssi === 127 ? null : rssi };
}

for (const exchange of requested) {
  test(`tap: ${exchange.name}`, async () => {
    const [opening, begin, proof, say, answer] = exchange.messages;
    const side = await phone(exchange, { wanted: taps.reader });
    assert.equal(hex((await side.receive(fromHex(opening))) as Uint8Array), begin);
    assert.equal(hex((await side.receive(fromHex(proof))) as Uint8Array), say);
    assert.deepEqual(await side.receive(fromHex(answer)), exchange.response);
  });
}

test("a tap comes through in fragments of every size", async () => {
  const [opening, begin, proof, say, answer] = first.messages;
  for (const size of [1, 2, 3, 7, 19, 20, 21, 64, 100, 182, 244, 512]) {
    const side = await phone();
    assert.equal(hex((await inParts(side, opening, size)) as Uint8Array), begin);
    assert.equal(hex((await inParts(side, proof, size)) as Uint8Array), say);
    assert.deepEqual(await inParts(side, answer, size), first.response);
  }
});

async function inParts(side: PhoneSide, message: string, size: number) {
  const data = fromHex(message);
  for (let at = 0; at < data.length; at += size) {
    const got = await side.receive(data.slice(at, at + size));
    if (at + size >= data.length) return got;
    assert.equal(got, null);
  }
  return null;
}

for (const vector of taps.refusedByPhone) {
  test(`refused: ${vector.name}`, async () => {
    const side = await phone(first, vector);
    const messages = vector.receives.map(fromHex);
    for (const message of messages.slice(0, -1)) await side.receive(message);
    await assert.rejects(side.receive(messages.at(-1)), (error: unknown) => {
      assert.ok(error instanceof TapFailed);
      assert.equal(error.failure, vector.reason);
      return true;
    });
  });
}

test("a phone tells nobody who it is, however its reader's proof is altered", async () => {
  const [opening, , proof] = first.messages;
  for (let place = 0; place < proof.length / 2; place++) {
    const altered = fromHex(proof);
    altered[place]! ^= 1 << (place % 8);
    const side = await phone();
    await side.receive(fromHex(opening));
    const got = await side.receive(altered).catch((error) => assert.ok(error instanceof TapFailed));
    assert.ok(got === undefined || got === null, `byte ${place}`);
  }
});

test("with keys of its own no two taps are alike", async () => {
  const said = new Set<string>();
  for (let times = 0; times < 3; times++) {
    const side = new PhoneSide(identity(first), request(first), trust());
    said.add(hex((await side.receive(fromHex(first.messages[0]))) as Uint8Array));
  }
  assert.equal(said.size, 3);
});

test("whatever bytes come, a side refuses them or waits for more", async () => {
  for (let times = 0; times < 300; times++) {
    const side = await phone();
    if (times % 2) await side.receive(fromHex(first.messages[0]));
    const noise = crypto.getRandomValues(new Uint8Array(times * 2));
    if (times % 3 === 0)
      noise.set(
        [
          [0x0c, 0x05],
          [0x10, 0x40],
          [0x03, 0x40],
        ][(times % 9) / 3]!.slice(0, noise.length),
      );
    const got = await side.receive(noise).catch((error) => assert.ok(error instanceof TapFailed));
    assert.ok(got === undefined || got === null);
  }
});

test("an answer says what was sealed and not what was said beside it", async () => {
  const seal = await newSeal(fromHex(first.sealKey));
  const told = fromHex(first.answer);
  const sealed = await seal.seal(fromHex("000000000000000200000001"), told);
  const side = await phone();
  await side.receive(fromHex(first.messages[0]));
  await side.receive(fromHex(first.messages[2]));
  const answer = concat(fromHex("040100"), fromHex("40"), Uint8Array.of(sealed.length), sealed);
  assert.deepEqual(await side.receive(answer), first.response);
  assert.ok(await seal.open(FROM_PHONE, fromHex(first.messages[3].slice(4))));
});
