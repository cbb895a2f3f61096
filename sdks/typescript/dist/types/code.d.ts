/** The user's own code, made on the phone: docs/pass.md. */
import { type Bytes } from "./bytes.ts";
/** The text of a code: `id` 8 random bytes, `issuedAt` epoch seconds, `kid` the code key's, 8 bytes. */
export declare function phoneCode(id: Bytes, issuedAt: number, kid: Bytes, sign: (message: Bytes) => Promise<Bytes>): Promise<string>;
