/**
 * AES-256-CCM (RFC 3610) with a nonce of 12 bytes (L = 3), a tag of 16 (M = 16) and no associated data.
 *
 * WebCrypto has no CCM; it is made of its AES-CBC, whose last block is the CBC-MAC, and its AES-CTR, which masks the
 * tag with the first block of the key stream and the message with the others. The block cipher itself runs in WebCrypto,
 * so nothing here depends on secret bytes but the comparison of tags, which takes the same time whatever they are.
 */

import { type Bytes, concat, equal, uint } from "./bytes.ts";

const BLOCK = 16;
const ZEROS = new Uint8Array(BLOCK);
const FIRST_BLOCK_FLAGS = 8 * ((BLOCK - 2) / 2) + (3 - 1);
const COUNTER_FLAGS = 3 - 1;

export interface Seal {
  /** The message, encrypted, and its tag. */
  seal(nonce: Bytes, message: Bytes): Promise<Bytes>;
  /** The message, or null when it is not genuine. */
  open(nonce: Bytes, sealed: Bytes): Promise<Bytes | null>;
}

/** `secret`: 32 bytes. */
export async function newSeal(secret: Bytes): Promise<Seal> {
  const [cbc, ctr] = await Promise.all(
    ["AES-CBC", "AES-CTR"].map((name) => crypto.subtle.importKey("raw", secret, name, false, ["encrypt"])),
  );
  const mac = (nonce: Bytes, message: Bytes): Promise<Bytes> => cbcMac(cbc!, nonce, message);
  const mask = (nonce: Bytes, data: Bytes): Promise<Bytes> => masked(ctr!, nonce, data);
  return {
    async seal(nonce, message) {
      const both = await mask(nonce, concat(await mac(nonce, message), message));
      return concat(both.subarray(BLOCK), both.subarray(0, BLOCK));
    },
    async open(nonce, sealed) {
      if (sealed.length < BLOCK) return null;
      const end = sealed.length - BLOCK;
      const both = await mask(nonce, concat(sealed.subarray(end), sealed.subarray(0, end)));
      const message = both.slice(BLOCK);
      return equal(both.subarray(0, BLOCK), await mac(nonce, message)) ? message : null;
    },
  };
}

async function cbcMac(key: CryptoKey, nonce: Bytes, message: Bytes): Promise<Bytes> {
  const head = concat(uint(FIRST_BLOCK_FLAGS, 1), nonce, uint(message.length, 3));
  const blocks = concat(head, message, ZEROS.subarray(0, (BLOCK - (message.length % BLOCK)) % BLOCK));
  const encrypted = await crypto.subtle.encrypt({ name: "AES-CBC", iv: ZEROS }, key, blocks);
  return new Uint8Array(encrypted).slice(blocks.length - BLOCK, blocks.length);
}

async function masked(key: CryptoKey, nonce: Bytes, data: Bytes): Promise<Bytes> {
  const counter = concat(uint(COUNTER_FLAGS, 1), nonce, uint(0, 3));
  return new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CTR", counter, length: 24 }, key, data));
}
