/** The phone's side of a tap: bytes in, bytes out. docs/tap.md explains it, docs/tap-vectors.json shows it. */
import { type Bytes } from "./bytes.ts";
/** Seconds by which this phone's clock and a certificate's may differ. */
export declare const LEEWAY = 300;
declare const ASKS: readonly ["open", "hold_open", "lock", "normal"];
export type Ask = (typeof ASKS)[number];
/** Why an exchange ended without a decision. */
export type TapFailure = "malformed" | "forged" | "unknown_site" | "wrong_reader" | "not_trusted";
/** The exchange is over and nothing was asked of the door, or nothing is known of its answer. */
export declare class TapFailed extends Error {
    readonly failure: TapFailure;
    constructor(failure: TapFailure);
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
export declare class PhoneSide {
    #private;
    /** `transient`: for reproducible vectors; absent, a new key. */
    constructor(identity: PhoneIdentity, request: TapRequest, trust: Trust, transient?: CryptoKeyPair);
    /**
     * What to send now, or the reader's answer, or null while the message is not whole. Throws TapFailed, and then this
     * side is over. One call at a time.
     */
    receive(data: Uint8Array): Promise<Bytes | Answer | null>;
}
export {};
