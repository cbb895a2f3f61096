/** The cloud's native API in a user's name, with a session that only this phone can use (RFC 6749 §6, RFC 9449). */
import { type Contents, type Kept, type Wallet } from "./wallet.ts";
export type Method = "GET" | "POST" | "DELETE";
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;
/** Epoch seconds. */
export type Clock = () => number;
/** The cloud as one session is let in. */
export declare class Cloud {
    #private;
    constructor(url: string, place: Place, fetch: Fetch, now: Clock);
    /** The same cloud for the same session in another place. */
    at(place: Place): Cloud;
    /**
     * The answer's body. A GET, a DELETE and a POST that creates (with its Idempotency-Key) are repeated once when no
     * answer came; nothing else is, and rejects with ConnectionLost then: it may have been carried out. Rejects with
     * Offline, SessionOver or what the cloud's problem means.
     */
    call<T>(method: Method, path: string, body?: object, isRepeatable?: boolean): Promise<T>;
    /** Ends the session (RFC 7009). */
    revoke(refreshToken: string): Promise<void>;
}
/** Where a session's contents are while it is used. */
export interface Place {
    /** Calls `make` with them and keeps what it changes, once at a time. */
    renew(make: (held: Contents) => Promise<Partial<Contents>>): Promise<void>;
}
/** In no wallet: of a log-in that is under way, or of a phone that is forgotten already. */
export declare class Loose implements Place {
    contents: Contents;
    readonly cloud: Cloud;
    /** `cloud`: as this session, or this one's beginning, is let in. */
    constructor(contents: Contents, cloud: Cloud);
    renew(make: (held: Contents) => Promise<Partial<Contents>>): Promise<void>;
}
/** The wallet, which pages of one site share: one of them changes it at a time, on what is there. */
export declare class Drawer {
    #private;
    /** What is kept of another cloud than `url`'s counts as nothing, until it is replaced. */
    constructor(url: string, wallet: Wallet, changed: (kept: Kept | null) => void);
    /** What is kept now, which whoever opened this drawer is told too. */
    load(): Promise<Kept | null>;
    /** Keeps what `make` makes of what is kept, and resolves with what was. */
    change(make: (held: Kept | null) => Kept | null): Promise<Kept | null>;
    /** Changes the contents of the session that began with that text's fingerprint; rejects as `the` when they are gone. */
    amend(beganWith: string, make: (held: Contents) => Partial<Contents>): Promise<void>;
    /** The place of that session. While the cloud is asked the wallet can be changed: a token of a session that is gone is not kept. */
    of(beganWith: string): Place;
    /** From now on other pages are neither heard nor told. */
    close(): void;
}
/** The contents, of that session if one is given; throws SessionOver or NotLoggedIn when they are gone. */
export declare function the(kept: Kept | null, beganWith?: string): Contents;
