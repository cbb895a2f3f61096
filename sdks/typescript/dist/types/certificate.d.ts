/** A reader's certificate, 216 bytes of which every part has its place: docs/tap.md. */
import { type Bytes } from "./bytes.ts";
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
/**
 * What a certificate says when a key that `findKey` knows by its kid (8 bytes) has signed it, else null. Never throws
 * for whatever bytes. Its times are not judged here.
 */
export declare function readCertificate(data: Bytes, findKey: (kid: Bytes) => Bytes | null): Promise<ReaderCertificate | null>;
/** Sig_structure (RFC 9052 §4.4); both given as encoded byte strings. */
export declare function toBeSigned(protectedHeader: Uint8Array, payload: Uint8Array): Bytes;
