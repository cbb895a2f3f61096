/**
 * AES-256-CCM (RFC 3610) with a nonce of 12 bytes (L = 3), a tag of 16 (M = 16) and no associated data.
 *
 * WebCrypto has no CCM; it is made of its AES-CBC, whose last block is the CBC-MAC, and its AES-CTR, which masks the
 * tag with the first block of the key stream and the message with the others. The block cipher itself runs in WebCrypto,
 * so nothing here depends on secret bytes but the comparison of tags, which takes the same time whatever they are.
 */
import { type Bytes } from "./bytes.ts";
export interface Seal {
    /** The message, encrypted, and its tag. */
    seal(nonce: Bytes, message: Bytes): Promise<Bytes>;
    /** The message, or null when it is not genuine. */
    open(nonce: Bytes, sealed: Bytes): Promise<Bytes | null>;
}
/** `secret`: 32 bytes. */
export declare function newSeal(secret: Bytes): Promise<Seal>;
