/** The vectors that the wire itself is tested against. */

import { readFileSync } from "node:fs";

import { type Bytes, base64url, fromHex } from "../src/bytes.ts";

function read(name: string): any {
  return JSON.parse(readFileSync(new URL(`../../../docs/${name}`, import.meta.url), "utf8"));
}

export const passes = read("pass-vectors.json");
export const taps = read("tap-vectors.json");

export function named(vectors: { name: string }[], name: string): any {
  const found = vectors.find((vector) => vector.name === name);
  if (!found) throw new Error(`no vector is called ${name}`);
  return found;
}

/** The key pair of a private scalar, for a purpose. */
export async function keyPair(scalar: string, publicPoint: string, name: "ECDH" | "ECDSA"): Promise<CryptoKeyPair> {
  const algorithm = { name, namedCurve: "P-256" };
  const [x, y] = [publicPoint.slice(2, 66), publicPoint.slice(66)].map((part) => base64url(fromHex(part)));
  const jwk = { kty: "EC", crv: "P-256", x: x!, y: y! };
  const usages: KeyUsage[] = name === "ECDH" ? ["deriveBits"] : ["sign"];
  const secret = { ...jwk, d: base64url(fromHex(scalar)) };
  const [privateKey, publicKey] = await Promise.all([
    crypto.subtle.importKey("jwk", secret, algorithm, false, usages),
    crypto.subtle.importKey("jwk", jwk, algorithm, true, name === "ECDH" ? [] : ["verify"]),
  ]);
  return { privateKey: privateKey!, publicKey: publicKey! };
}

export function bytes(text: string): Bytes {
  return fromHex(text);
}
