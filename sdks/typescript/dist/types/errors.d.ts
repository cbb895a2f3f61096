/** What an app tells its user when a door does not open: a class, a stable code and a sentence each. */
import type { TapFailure } from "./tap.ts";
/** A door did not open, or the phone cannot do what it was asked; `message` is for people. */
export declare class AccessError extends Error {
    static readonly code: string;
    static readonly sentence: string;
    readonly code: string;
    /** The door's own reason (docs/reasons.md), where a door decided. */
    readonly reason: string | null;
    constructor(sentence?: string, reason?: string | null, code?: string, options?: ErrorOptions);
}
export declare class NotSecure extends AccessError {
    static readonly code = "not_secure";
    static readonly sentence = "This page cannot make keys; please open it by its https address.";
}
export declare class WalletUnwritable extends AccessError {
    static readonly code = "wallet_unwritable";
    static readonly sentence = "This browser keeps nothing for this page; please allow it to, leave private browsing or free some space.";
}
export declare class NotLoggedIn extends AccessError {
    static readonly code = "not_logged_in";
    static readonly sentence = "Please log in first.";
}
export declare class NotEnrolled extends AccessError {
    static readonly code = "not_enrolled";
    static readonly sentence = "This phone is not enrolled yet.";
}
export declare class SessionOver extends AccessError {
    static readonly code = "session_over";
    static readonly sentence = "Your session is over; please log in again.";
}
export declare class Offline extends AccessError {
    static readonly code = "offline";
    static readonly sentence = "The phone has no connection to the cloud now.";
}
export declare class BluetoothOff extends AccessError {
    static readonly code = "bluetooth_off";
    static readonly sentence = "Bluetooth is off; please switch it on.";
}
export declare class GestureNeeded extends AccessError {
    static readonly code = "gesture_needed";
    static readonly sentence = "A browser looks for readers only in answer to a tap or a click on its page; please press the button again.";
}
export declare class Cancelled extends AccessError {
    static readonly code = "cancelled";
    static readonly sentence = "No reader was chosen.";
}
export declare class NoReaderNear extends AccessError {
    static readonly code = "no_reader_near";
    static readonly sentence = "There is no reader near; please come closer to the door.";
}
export declare class TooFar extends AccessError {
    static readonly code = "too_far";
    static readonly sentence = "You are too far away; please come closer to the door.";
}
export declare class NotPermitted extends AccessError {
    static readonly code = "not_permitted";
    static readonly sentence = "You may not open this door now.";
}
export declare class Lockdown extends AccessError {
    static readonly code = "lockdown";
    static readonly sentence = "This door is in lockdown and opens for nobody.";
}
export declare class ReaderNotTrusted extends AccessError {
    static readonly code = "reader_not_trusted";
    static readonly sentence = "The reader could not prove that it belongs here, or this phone's clock is wrong.";
}
export declare class DoorOffline extends AccessError {
    static readonly code = "door_offline";
    static readonly sentence = "The door cannot be reached now; nothing was done there.";
}
export declare class DoorFault extends AccessError {
    static readonly code = "door_fault";
    static readonly sentence = "The door had a fault; please try again.";
}
export declare class ConnectionLost extends AccessError {
    static readonly code = "connection_lost";
    static readonly sentence = "The connection to the door was lost; it may have opened. Please try again.";
}
export declare class PhoneLimitReached extends AccessError {
    static readonly code = "phone_limit_reached";
    static readonly sentence = "You have as many phones as you may; name the one that this one replaces.";
}
export declare class PhoneLocked extends AccessError {
    static readonly code = "phone_locked";
    static readonly sentence = "You are bound to your phone; ask an administrator to remove it before you enrol another.";
}
/**
 * The cloud refused for another reason, `code` is one of docs/errors.md; or it would, and was not asked: `invalid`; or
 * what answered is no cloud: `unexpected`.
 */
export declare class CloudRefused extends AccessError {
}
/** What a door's refusal means for an app; a reason that is not known here is a plain no. */
export declare function refused(reason: string): AccessError;
/** What the end of an exchange without a decision means for an app. */
export declare function failed(failure: TapFailure): AccessError;
/** A problem in the cloud's answer (RFC 9457, with our `code` and what is wrong with each field). */
export interface Problem {
    readonly code: string;
    readonly detail?: string;
    readonly errors?: readonly {
        readonly field: string;
        readonly detail: string;
    }[];
}
/** What a problem means for an app. */
export declare function problem({ code, detail, errors }: Problem): AccessError;
/** What an app may not ask for, whatever the cloud thinks. */
export declare function invalid(sentence: string): AccessError;
/** Any error as one of these: what a platform says without a meaning here is the cause. */
export declare function known(error: unknown): AccessError;
