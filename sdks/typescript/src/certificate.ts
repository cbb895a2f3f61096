/** A reader's certificate, 216 bytes of which every part has its place: docs/tap.md. */

import { type Bytes, concat, equal, fromHex, number, utf8 } from "./bytes.ts";
import { verify } from "./p256.ts";

/** What an organisation says of one reader. Instants are epoch seconds. */
export interface ReaderCertificate {
  /** 16 bytes: organisation, site. */
  readonly site: Bytes;
  /** 16 bytes: access point, 0 entry or 1 exit. */
  readonly reader: Bytes;
  /** P-256, uncompressed point, 65 bytes. */
  readonly publicKey: Bytes;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** A COSE_Sign1, ES256: its bytes with the places of what varies, and how long each is. */
const FORM =
  "d2844da201260448 .8 a05883a4041a .4 061a .4 08a101a401022001215820 .32 225820 .32 3a000100018250 .16 50 .16 5840 .64";
const PARTS = FORM.split(" ").map((part) => (part.startsWith(".") ? Number(part.slice(1)) : fromHex(part)));
const PROTECTED = [2, 16] as const;
const PAYLOAD = [17, 150] as const;

/**
 * What a certificate says when a key that `findKey` knows by its kid (8 bytes) has signed it, else null. Never throws
 * for whatever bytes. Its times are not judged here.
 */
export async function readCertificate(
  data: Bytes,
  findKey: (kid: Bytes) => Bytes | null,
): Promise<ReaderCertificate | null> {
  const values = split(data);
  if (values === null) return null;
  const [kid, expiresAt, issuedAt, x, y, site, reader, signature] = values as [Bytes, ...Bytes[]];
  const signer = findKey(kid);
  const message = toBeSigned(data.slice(...PROTECTED), data.slice(...PAYLOAD));
  if (signer === null || !(await verify(signer, signature!, message).catch(() => false))) return null;
  return {
    site: site!,
    reader: reader!,
    publicKey: concat(fromHex("04"), x!, y!),
    issuedAt: number(issuedAt!),
    expiresAt: number(expiresAt!),
  };
}

/** Sig_structure (RFC 9052 §4.4); both given as encoded byte strings. */
export function toBeSigned(protectedHeader: Uint8Array, payload: Uint8Array): Bytes {
  return concat(fromHex("846a"), utf8("Signature1"), protectedHeader, fromHex("40"), payload);
}

function split(data: Bytes): Bytes[] | null {
  const values: Bytes[] = [];
  let at = 0;
  for (const part of PARTS) {
    const next = data.slice(at, at + (typeof part === "number" ? part : part.length));
    if (typeof part === "number") values.push(next);
    else if (!equal(part, next)) return null;
    at += next.length;
  }
  return at === data.length && values[values.length - 1]!.length === 64 ? values : null;
}
