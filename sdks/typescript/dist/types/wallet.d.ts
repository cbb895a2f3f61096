/** What a phone keeps: three keys, its session, and what it needs to know to work without a network. */
import type { Keyring } from "./api.ts";
/** By which doors know this phone. Private halves can be used and never read, by this page neither. */
interface Keys {
    /** Of the cloud. */
    readonly url: string;
    readonly tapKey: CryptoKeyPair;
    readonly codeKey: CryptoKeyPair;
    /** When the keys were made, epoch seconds. */
    readonly madeAt: number;
}
/** What is left of a phone without its session: when the same user logs in again, it is the same phone. */
export interface Former extends Keys {
    readonly userId: number;
    /** The cloud has ended the session, and nobody has logged in or out since. */
    readonly isOver?: boolean;
}
/** A phone with its session. One key per purpose. */
export interface Contents extends Keys {
    /** SHA-256 of the text that began the session, base64url: tells it from every other session. */
    readonly beganWith: string;
    readonly refreshToken: string;
    /** Proves to the cloud that a refresh comes from this phone (RFC 9449). */
    readonly sessionKey: CryptoKeyPair;
    /** Seconds by which the cloud's clock is ahead of this phone's. */
    readonly clockOffset: number;
    readonly keyring: Keyring | null;
}
export type Kept = Contents | Former;
/** Where a phone keeps its contents. */
export interface Wallet {
    /** null: nothing is kept. */
    load(): Promise<Kept | null>;
    /** Durable when it resolves: a refresh token is good once. */
    save(kept: Kept): Promise<void>;
    clear(): Promise<void>;
}
/** Forgets everything with the page. */
export declare class MemoryWallet implements Wallet {
    #private;
    load(): Promise<Kept | null>;
    save(kept: Kept): Promise<void>;
    clear(): Promise<void>;
}
/** The browser's own database, for this site alone. Every method rejects with WalletUnwritable where there is none. */
export declare class IndexedDbWallet implements Wallet {
    #private;
    /** `name`: of the database; two users on one device need two. */
    constructor(name?: string);
    load(): Promise<Kept | null>;
    save(kept: Kept): Promise<void>;
    clear(): Promise<void>;
}
/** A phone that begins with a session's text. `now`: epoch seconds. */
export declare function newContents(url: string, session: string, now: number): Promise<Contents>;
export declare function fingerprint(session: string): Promise<string>;
export declare function isContents(kept: Kept | null): kept is Contents;
export declare function isOver(kept: Kept | null): boolean;
/** Whose keys they are; undefined as long as the cloud has not said it. */
export declare function userOf(kept: Kept): number | undefined;
/** What is kept of a phone without its session. */
export declare function former(kept: Kept, isOver: boolean): Former | null;
export {};
