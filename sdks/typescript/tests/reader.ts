/** A reader for tests: the other side of a tap, with the vectors' key and certificate, and what carries its bytes. */

import { type Advert } from "../src/advert.ts";
import { type Bytes, concat, fromHex, uint, utf8 } from "../src/bytes.ts";
import { newSeal } from "../src/ccm.ts";
import { newTransientKey, point, sha256, sharedSecret, sign } from "../src/p256.ts";
import { type Heard, type Link, LinkLost, type Radio } from "../src/radio.ts";
import { keyPair, taps } from "./vectors.ts";

const NONCES = ["000000000000000100000001", "000000000000000200000001"].map(fromHex);
export const FRONT: Advert = { organisation: 3, accessPoint: 42, isExit: false, power: -59 };

export class Reader {
  reason = "granted";
  /** What the phone asked: the request's bytes. */
  asked: Bytes | null = null;
  #transient: CryptoKeyPair | null = null;
  #secret: Bytes | null = null;
  #transcript: Bytes | null = null;

  async opening(): Promise<Bytes> {
    this.#transient = await newTransientKey();
    const own = await point(this.#transient);
    const compressed = concat(uint(2 + (own[64]! & 1), 1), own.subarray(1, 33));
    return concat(fromHex("0c0503000000010221"), compressed, fromHex(`0d10${taps.reader}0e10${taps.site}`));
  }

  async hear(message: Bytes): Promise<Bytes> {
    return this.#secret ? this.#answer(message) : this.#prove(message);
  }

  async #prove(message: Bytes): Promise<Bytes> {
    const theirs = message.slice(2, 67);
    this.#secret = await sha256(await sharedSecret(this.#transient!, theirs));
    const own = await point(this.#transient!);
    this.#transcript = concat(fromHex(taps.site + taps.reader), theirs.subarray(1, 33), own.subarray(1, 33));
    const key = await keyPair(taps.readerKey.privateKey, taps.readerKey.publicKey, "ECDSA");
    return concat(fromHex(`10d8${taps.certificate}0340`), await sign(key, this.#transcript));
  }

  async #answer(message: Bytes): Promise<Bytes> {
    const seal = await newSeal(this.#secret!);
    const said = await seal.open(NONCES[0]!, message.slice(2));
    this.asked = said!.slice(-11);
    const isOpen = this.reason === "granted" ? 1 : 0;
    const told = concat(Uint8Array.of(4, 1, isOpen, 0xf2, this.reason.length), utf8(this.reason));
    const sealed = await seal.seal(NONCES[1]!, told);
    return concat(Uint8Array.of(4, 1, isOpen, 0x40, sealed.length), sealed);
  }
}

/** A phone's own Bluetooth, as a hybrid app plugs it in: hears readers, and cuts what they say into pieces. */
export class NativeRadio implements Radio {
  readonly asksUser = false;
  near: Heard[] = [{ advert: FRONT, rssi: -50 }];
  reader = new Reader();
  size = 20;
  /** Messages after which the link is lost. */
  losesAfter = Infinity;
  isOpen = false;

  async scan(): Promise<Heard[]> {
    return this.near;
  }

  async connect(): Promise<Link> {
    const { reader, size } = this;
    const inbox: Bytes[] = [];
    let messages = 0;
    const say = (message: Bytes): void => {
      for (let at = 0; at < message.length; at += size) inbox.push(message.slice(at, at + size));
    };
    say(await reader.opening());
    this.isOpen = true;
    return {
      receive: async () => inbox.shift() ?? (await new Promise<never>(() => {})),
      send: async (data) => {
        if (++messages > this.losesAfter) throw new LinkLost();
        say(await reader.hear(data));
      },
      close: async () => void (this.isOpen = false),
    };
  }
}
