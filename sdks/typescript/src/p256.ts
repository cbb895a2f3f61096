/** P-256 by WebCrypto: private keys are objects that nobody can export, points are bytes (SEC 1 §2.3.3). */

import { type Bytes, bigint, concat, fromHex, uint } from "./bytes.ts";

const ECDSA = { name: "ECDSA", namedCurve: "P-256" };
const ECDH = { name: "ECDH", namedCurve: "P-256" };
const ES256 = { name: "ECDSA", hash: "SHA-256" };

const P = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
const B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
const THUMBPRINT_HEAD = fromHex("a401022001215820");
const THUMBPRINT_Y = fromHex("225820");

/** A key that signs; only its public half can leave this device. */
export function newSigningKey(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(ECDSA, false, ["sign", "verify"]);
}

/** A key for one exchange. */
export function newTransientKey(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(ECDH, false, ["deriveBits"]);
}

/** The public half as an uncompressed point, 65 bytes. */
export async function point(pair: CryptoKeyPair): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
}

/** r‖s, 64 bytes. */
export async function sign(pair: CryptoKeyPair, message: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.sign(ES256, pair.privateKey, message));
}

/** True when the signature is 64 bytes and genuine; throws RangeError when the point is none. */
export async function verify(publicPoint: Bytes, signature: Bytes, message: Bytes): Promise<boolean> {
  const key = await imported(publicPoint, ECDSA, ["verify"]);
  return signature.length === 64 && crypto.subtle.verify(ES256, key, signature, message);
}

/** ECDH: the x coordinate that both sides get, 32 bytes; throws RangeError when the point is none. */
export async function sharedSecret(pair: CryptoKeyPair, otherPoint: Bytes): Promise<Bytes> {
  const other = await imported(otherPoint, ECDH, []);
  const bits = await crypto.subtle.deriveBits({ name: "ECDH", public: other }, pair.privateKey, 256);
  return new Uint8Array(bits);
}

export async function sha256(data: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data));
}

/** 8 bytes of the key's COSE thumbprint (RFC 9679 §4). */
export async function kid(publicPoint: Uint8Array): Promise<Bytes> {
  const key = concat(THUMBPRINT_HEAD, publicPoint.subarray(1, 33), THUMBPRINT_Y, publicPoint.subarray(33));
  return (await sha256(key)).slice(0, 8);
}

/** The uncompressed point of a compressed one; throws RangeError when it is not 33 bytes or not on the curve. */
export function decompress(compressed: Uint8Array): Bytes {
  const x = bigint(compressed.subarray(1));
  const isOdd = compressed[0] === 3;
  if (compressed.length !== 33 || (compressed[0] !== 2 && !isOdd) || x >= P) throw new RangeError("not a point");
  const square = ((((x * x - 3n) * x + B) % P) + P) % P;
  let y = power(square, (P + 1n) / 4n);
  if ((y * y) % P !== square) throw new RangeError("not a point");
  if (((y & 1n) === 1n) !== isOdd) y = P - y;
  return concat(uint(4, 1), compressed.subarray(1), fromHex(y.toString(16).padStart(64, "0")));
}

/** base^exponent mod P. Not of constant time: it is given public points only. */
function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let square = base, rest = exponent; rest > 0n; rest >>= 1n, square = (square * square) % P) {
    if (rest & 1n) result = (result * square) % P;
  }
  return result;
}

async function imported(publicPoint: Bytes, algorithm: EcKeyImportParams, usages: KeyUsage[]): Promise<CryptoKey> {
  try {
    if (publicPoint.length !== 65) throw new RangeError();
    return await crypto.subtle.importKey("raw", publicPoint, algorithm, true, usages);
  } catch {
    throw new RangeError("not a point of P-256");
  }
}
