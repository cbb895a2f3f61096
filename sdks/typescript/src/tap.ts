/** The phone's side of a tap: bytes in, bytes out. docs/tap.md explains it, docs/tap-vectors.json shows it. */

import { type Bytes, concat, equal, fromHex, uint } from "./bytes.ts";
import { newSeal, type Seal } from "./ccm.ts";
import { readCertificate } from "./certificate.ts";
import { decompress, newTransientKey, point, sha256, sharedSecret, verify } from "./p256.ts";

/** Seconds by which this phone's clock and a certificate's may differ. */
export const LEEWAY = 300;
const MOST_BYTES = 512;
const RSSI_UNKNOWN = 127;
const VERSION = fromHex("0300000001");
const FROM_PHONE = fromHex("000000000000000100000001");
const FROM_READER = fromHex("000000000000000200000001");
const ASKS = ["open", "hold_open", "lock", "normal"] as const;

const TAG = {
  publicKey: 0x01,
  transientCompressed: 0x02,
  signature: 0x03,
  response: 0x04,
  transient: 0x07,
  updatedAt: 0x09,
  version: 0x0c,
  reader: 0x0d,
  site: 0x0e,
  certificate: 0x10,
  sealed: 0x40,
  request: 0xf1,
  reason: 0xf2,
} as const;

export type Ask = (typeof ASKS)[number];

/** Why an exchange ended without a decision. */
export type TapFailure = "malformed" | "forged" | "unknown_site" | "wrong_reader" | "not_trusted";

/** The exchange is over and nothing was asked of the door, or nothing is known of its answer. */
export class TapFailed extends Error {
  readonly failure: TapFailure;

  constructor(failure: TapFailure) {
    super(failure);
    this.failure = failure;
  }
}

/** What the phone asks for. */
export interface TapRequest {
  readonly ask: Ask;
  /** A click at a distance; false: the phone is held to the reader. */
  readonly fromAfar: boolean;
  /** Which of the doors behind this reader; 0: the reader's own. */
  readonly accessPoint: number;
  /** dBm at which the phone hears the reader; null: unknown. */
  readonly rssi: number | null;
}

/** What a phone proves itself with. */
export interface PhoneIdentity {
  /** P-256, uncompressed point, 65 bytes. */
  readonly publicKey: Bytes;
  /** ECDSA with SHA-256, r‖s, 64 bytes. */
  sign(message: Bytes): Promise<Bytes>;
  /** When the key was made, epoch seconds. */
  readonly updatedAt: number;
}

/** Whom the phone believes. */
export interface Trust {
  /** Whether the phone opens doors at a site (16 bytes). */
  site(site: Bytes): boolean;
  /** Whether it is a reader that is meant (16 bytes). */
  reader(reader: Bytes): boolean;
  /** The organisation's key for readers with this kid, an uncompressed point. */
  findKey(kid: Bytes): Bytes | null;
  /** Epoch seconds. */
  readonly now: number;
}

/** What the reader decided; `reason` is a code of docs/reasons.md, or of a newer reader's. */
export interface Answer {
  readonly opened: boolean;
  readonly reason: string;
}

type Said = ReadonlyMap<number, Bytes>;
type Listener = (said: Said) => Promise<Bytes | Answer>;

export class PhoneSide {
  #heard: Bytes = new Uint8Array();
  #needed: readonly number[] = [TAG.version, TAG.transientCompressed, TAG.reader, TAG.site];
  #turn: Listener = (said) => this.#begin(said);
  readonly #identity: PhoneIdentity;
  readonly #request: TapRequest;
  readonly #trust: Trust;
  readonly #transient: Promise<CryptoKeyPair>;

  /** `transient`: for reproducible vectors; absent, a new key. */
  constructor(identity: PhoneIdentity, request: TapRequest, trust: Trust, transient?: CryptoKeyPair) {
    this.#identity = identity;
    this.#request = request;
    this.#trust = trust;
    this.#transient = transient ? Promise.resolve(transient) : newTransientKey();
  }

  /**
   * What to send now, or the reader's answer, or null while the message is not whole. Throws TapFailed, and then this
   * side is over. One call at a time.
   */
  async receive(data: Uint8Array): Promise<Bytes | Answer | null> {
    this.#heard = concat(this.#heard, data);
    if (this.#heard.length > MOST_BYTES) throw new TapFailed("malformed");
    const { said, isWhole } = split(this.#heard);
    if (![...said.keys()].every((tag) => this.#needed.includes(tag))) throw new TapFailed("malformed");
    if (!isWhole || said.size < this.#needed.length) return null;
    this.#heard = new Uint8Array();
    return this.#turn(said);
  }

  async #begin(said: Said): Promise<Bytes> {
    const site = said.get(TAG.site)!;
    const reader = said.get(TAG.reader)!;
    if (!this.#trust.site(site)) throw new TapFailed("unknown_site");
    if (!this.#trust.reader(reader)) throw new TapFailed("wrong_reader");
    const transient = await this.#transient;
    const own = await point(transient);
    const theirs = said.get(TAG.transientCompressed)!;
    const secret = await orMalformed(async () => sharedSecret(transient, decompress(theirs)));
    const seal = await newSeal(await sha256(secret));
    const transcript = concat(site, reader, own.subarray(1, 33), theirs.subarray(1));
    this.#needed = [TAG.certificate, TAG.signature];
    this.#turn = (proof) => this.#prove(proof, site, reader, transcript, seal);
    return records([TAG.transient, own], [TAG.version, VERSION]);
  }

  /** Says who we are, to a reader that has proved itself. */
  async #prove(said: Said, site: Bytes, reader: Bytes, transcript: Bytes, seal: Seal): Promise<Bytes> {
    const found = await readCertificate(said.get(TAG.certificate)!, (kid) => this.#trust.findKey(kid));
    if (found === null || !equal(found.site, site) || !equal(found.reader, reader)) throw new TapFailed("not_trusted");
    const { now } = this.#trust;
    if (now < found.issuedAt - LEEWAY || now >= found.expiresAt + LEEWAY) throw new TapFailed("not_trusted");
    const signature = said.get(TAG.signature)!;
    if (!(await orMalformed(() => verify(found.publicKey, signature, transcript)))) throw new TapFailed("forged");
    const told = records(
      [TAG.publicKey, this.#identity.publicKey],
      [TAG.signature, await this.#identity.sign(transcript)],
      [TAG.updatedAt, uint(this.#identity.updatedAt, 4)],
      [TAG.request, encoded(this.#request)],
    );
    this.#needed = [TAG.response, TAG.sealed];
    this.#turn = (answer) => heard(answer.get(TAG.sealed)!, seal);
    return records([TAG.sealed, await seal.seal(FROM_PHONE, told)]);
  }
}

async function heard(sealed: Bytes, seal: Seal): Promise<Answer> {
  const opened = await seal.open(FROM_READER, sealed);
  if (opened === null) throw new TapFailed("forged");
  const { said, isWhole } = split(opened);
  const response = said.get(TAG.response);
  const reason = said.get(TAG.reason);
  if (!isWhole || said.size !== 2 || !response || !reason) throw new TapFailed("malformed");
  return { opened: response.length === 1 && response[0] === 1, reason: String.fromCharCode(...reason) };
}

async function orMalformed<T>(compute: () => Promise<T>): Promise<T> {
  try {
    return await compute();
  } catch (error) {
    throw error instanceof RangeError ? new TapFailed("malformed") : error;
  }
}

function records(...values: readonly (readonly [number, Bytes])[]): Bytes {
  return concat(...values.flatMap(([tag, value]) => [Uint8Array.of(tag, value.length), value]));
}

/** The whole records at the beginning, and whether that is all; throws TapFailed when a tag comes twice. */
function split(data: Bytes): { said: Said; isWhole: boolean } {
  const said = new Map<number, Bytes>();
  let at = 0;
  while (at + 2 <= data.length && at + 2 + data[at + 1]! <= data.length) {
    const end = at + 2 + data[at + 1]!;
    if (said.has(data[at]!)) throw new TapFailed("malformed");
    said.set(data[at]!, data.slice(at + 2, end));
    at = end;
  }
  return { said, isWhole: at === data.length };
}

function encoded(request: TapRequest): Bytes {
  const fixed = [ASKS.indexOf(request.ask), Number(request.fromAfar), request.rssi ?? RSSI_UNKNOWN];
  return concat(Uint8Array.from(fixed), uint(request.accessPoint, 8));
}
