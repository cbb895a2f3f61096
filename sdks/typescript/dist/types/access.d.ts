/** What an app includes so that its user's phone opens doors. docs/access-sdk.md is the guide. */
import type { Door, Keyring, Passage, Phone } from "./api.ts";
import { type Clock, type Fetch } from "./cloud.ts";
import { type AccessError } from "./errors.ts";
import { type Radio } from "./radio.ts";
import { type Wallet } from "./wallet.ts";
/** How long a code is shown before the next one is made; a door takes it five seconds longer. */
export declare const CODE_SECONDS = 30;
/** How long readers are listened for at most; a tap ends as soon as one is near enough. */
export declare const SCAN_SECONDS = 3;
/**
 * How far this phone is, in every page and after a reload. `session_over`: the cloud has ended the session, and nobody has
 * logged out or in since; only the keys are kept, for the same user's next.
 */
export type Status = "logged_out" | "not_enrolled" | "ready" | "session_over";
/** The user's own code. Instants are epoch seconds of this phone's clock. */
export interface Code {
    /** To be drawn as a QR. */
    readonly text: string;
    readonly madeAt: number;
    /** When to ask for the next one. */
    readonly nextAt: number;
}
/** A door did what it was asked. */
export interface Opened {
    readonly accessPoint: number;
    readonly name: string;
    readonly sentence: string;
}
export interface Options {
    /** Where keys and keyring are kept; absent, the browser's database. */
    readonly wallet?: Wallet;
    /** Bluetooth; absent, the browser's. */
    readonly radio?: Radio;
    /** The network; absent, the browser's. */
    readonly fetch?: Fetch;
    /** The phone's clock, epoch seconds. */
    readonly now?: Clock;
}
/** One phone of one user. Every method may reject, with an AccessError. */
export declare class Access {
    #private;
    private constructor();
    /** This phone as it was left. `url`: of the cloud. Rejects with NotSecure and WalletUnwritable where no key can be kept. */
    static open(url: string, options?: Options): Promise<Access>;
    /** Ends what this object listens to; the phone stays as it is. */
    close(): void;
    get status(): Status;
    /** Calls the listener at every change from now on; the answer ends that. */
    onStatus(listener: (status: Status) => void): () => void;
    /**
     * Begins with a session token, which is good for ten minutes and once: from now on only this phone can use it.
     * Whoever was logged in before is logged out once the cloud has taken it; the same token again is a refresh, or another
     * try of the same log-in: in the same page, as the key that has begun to use it goes with the page. Rejects with
     * SessionOver when the token is used up or wrong, with NotLoggedIn when somebody else has logged in at the same time, in
     * another page.
     */
    logIn(session: string): Promise<void>;
    /** Forgets this phone, removes it from the cloud and ends its session there, which takes five seconds at most. */
    logOut(): Promise<void>;
    /**
     * Makes this phone known to the doors that its user may open. `replaces`: the id of a lost one. Rejects with
     * PhoneLimitReached when one must be named, PhoneLocked when an administrator must act.
     */
    enrol(name: string, replaces?: number | null): Promise<Phone>;
    /** The user's phones. */
    phones(): Promise<Phone[]>;
    /** Removes one of the user's phones: a lost one; its session ends. */
    remove(phone: number): Promise<void>;
    /** Fetches what this phone needs to know to work without a network: do so whenever the app is opened. */
    refresh(): Promise<Keyring>;
    /** The doors that the user may open and what this phone may do there, as the cloud told last. */
    doors(): readonly Door[];
    /** Opens the door to whose reader the phone is held; with `accessPoint` only if it is that one. */
    tap(accessPoint?: number | null, seconds?: number): Promise<Opened>;
    /** Opens a door from a distance, within the range that the user has. */
    click(accessPoint: number, seconds?: number): Promise<Opened>;
    /** Lets a door stand open for everybody, until `normal`; for those whose role it is. */
    holdOpen(accessPoint: number, seconds?: number): Promise<Opened>;
    /** Locks a door for everybody, until `normal`; for those whose role it is. */
    lock(accessPoint: number, seconds?: number): Promise<Opened>;
    /** Lets a door decide by attempt again; for those whose role it is. */
    normal(accessPoint: number, seconds?: number): Promise<Opened>;
    /** Opens a door through the cloud, from anywhere; for those who may. */
    unlock(accessPoint: number): Promise<Opened>;
    /**
     * The user's own code, made here; the same until `nextAt`, when to ask again. `fresh`: another one now, for the next
     * door: a controller takes a code once.
     */
    code({ fresh }?: {
        fresh?: boolean | undefined;
    }): Promise<Code>;
    /**
     * Hands `show` a code now and the next one whenever it is due, until the answer is called. A fresh one that was asked
     * for meanwhile, and one after clock or phone were corrected, is shown at once.
     */
    showCode(show: (code: Code) => void, fail: (error: AccessError) => void): () => void;
    /** Where the user came, went and was refused, the latest first. */
    history(most?: number): Promise<Passage[]>;
}
