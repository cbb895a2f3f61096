/** The user's own code, made on the phone: docs/pass.md. */

import { base45 } from "./base45.ts";
import { type Bytes, concat, fromHex, uint } from "./bytes.ts";
import { toBeSigned } from "./certificate.ts";

/** The text of a code: `id` 8 random bytes, `issuedAt` epoch seconds, `kid` the code key's, 8 bytes. */
export async function phoneCode(
  id: Bytes,
  issuedAt: number,
  kid: Bytes,
  sign: (message: Bytes) => Promise<Bytes>,
): Promise<string> {
  const protectedHeader = concat(fromHex("4da201260448"), kid);
  const payload = concat(fromHex("51a2061a"), uint(issuedAt, 4), fromHex("0748"), id);
  const signature = await sign(toBeSigned(protectedHeader, payload));
  return `LW1:${base45(concat(fromHex("d284"), protectedHeader, fromHex("a0"), payload, fromHex("5840"), signature))}`;
}
