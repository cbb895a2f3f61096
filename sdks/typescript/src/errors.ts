/** What an app tells its user when a door does not open: a class, a stable code and a sentence each. */

import { SENTENCES } from "./reasons.ts";
import type { TapFailure } from "./tap.ts";

/** A door did not open, or the phone cannot do what it was asked; `message` is for people. */
export class AccessError extends Error {
  static readonly code: string = "failed";
  static readonly sentence: string = "That did not work; please try again.";
  readonly code: string;
  /** The door's own reason (docs/reasons.md), where a door decided. */
  readonly reason: string | null;

  constructor(sentence?: string, reason: string | null = null, code: string = new.target.code, options?: ErrorOptions) {
    super(sentence ?? new.target.sentence, options);
    this.code = this.name = code;
    this.reason = reason;
  }
}

export class NotSecure extends AccessError {
  static override readonly code = "not_secure";
  static override readonly sentence = "This page cannot make keys; please open it by its https address.";
}

export class WalletUnwritable extends AccessError {
  static override readonly code = "wallet_unwritable";
  static override readonly sentence =
    "This browser keeps nothing for this page; please allow it to, leave private browsing or free some space.";
}

export class NotLoggedIn extends AccessError {
  static override readonly code = "not_logged_in";
  static override readonly sentence = "Please log in first.";
}

export class NotEnrolled extends AccessError {
  static override readonly code = "not_enrolled";
  static override readonly sentence = "This phone is not enrolled yet.";
}

export class SessionOver extends AccessError {
  static override readonly code = "session_over";
  static override readonly sentence = "Your session is over; please log in again.";
}

export class Offline extends AccessError {
  static override readonly code = "offline";
  static override readonly sentence = "The phone has no connection to the cloud now.";
}

export class BluetoothOff extends AccessError {
  static override readonly code = "bluetooth_off";
  static override readonly sentence = "Bluetooth is off; please switch it on.";
}

export class GestureNeeded extends AccessError {
  static override readonly code = "gesture_needed";
  static override readonly sentence =
    "A browser looks for readers only in answer to a tap or a click on its page; please press the button again.";
}

export class Cancelled extends AccessError {
  static override readonly code = "cancelled";
  static override readonly sentence = "No reader was chosen.";
}

export class NoReaderNear extends AccessError {
  static override readonly code = "no_reader_near";
  static override readonly sentence = "There is no reader near; please come closer to the door.";
}

export class TooFar extends AccessError {
  static override readonly code = "too_far";
  static override readonly sentence = "You are too far away; please come closer to the door.";
}

export class NotPermitted extends AccessError {
  static override readonly code = "not_permitted";
  static override readonly sentence = "You may not open this door now.";
}

export class Lockdown extends AccessError {
  static override readonly code = "lockdown";
  static override readonly sentence = "This door is in lockdown and opens for nobody.";
}

export class ReaderNotTrusted extends AccessError {
  static override readonly code = "reader_not_trusted";
  static override readonly sentence =
    "The reader could not prove that it belongs here, or this phone's clock is wrong.";
}

export class DoorOffline extends AccessError {
  static override readonly code = "door_offline";
  static override readonly sentence = "The door cannot be reached now; nothing was done there.";
}

export class DoorFault extends AccessError {
  static override readonly code = "door_fault";
  static override readonly sentence = "The door had a fault; please try again.";
}

export class ConnectionLost extends AccessError {
  static override readonly code = "connection_lost";
  static override readonly sentence = "The connection to the door was lost; it may have opened. Please try again.";
}

export class PhoneLimitReached extends AccessError {
  static override readonly code = "phone_limit_reached";
  static override readonly sentence = "You have as many phones as you may; name the one that this one replaces.";
}

export class PhoneLocked extends AccessError {
  static override readonly code = "phone_locked";
  static override readonly sentence =
    "You are bound to your phone; ask an administrator to remove it before you enrol another.";
}

/**
 * The cloud refused for another reason, `code` is one of docs/errors.md; or it would, and was not asked: `invalid`; or
 * what answered is no cloud: `unexpected`.
 */
export class CloudRefused extends AccessError {}

type Kind = typeof AccessError;

const BY_REASON = new Map<string, Kind>([
  ["lockdown", Lockdown],
  ["too_far", TooFar],
  ["reader_fault", DoorFault],
  ["journal_unavailable", DoorFault],
  ["unknown_door", DoorFault],
  ["not_synced", DoorFault],
  ["clock_untrusted", DoorFault],
  ["offline_too_long", DoorFault],
]);
const BY_CODE = new Map<string, Kind>([
  ...[DoorOffline, PhoneLimitReached, PhoneLocked].map((kind) => [kind.code, kind] as const),
  ["unavailable", Offline],
]);

/** What a door's refusal means for an app; a reason that is not known here is a plain no. */
export function refused(reason: string): AccessError {
  const sentence = Object.hasOwn(SENTENCES, reason) ? SENTENCES[reason] : undefined;
  return new (BY_REASON.get(reason) ?? NotPermitted)(sentence, reason);
}

/** What the end of an exchange without a decision means for an app. */
export function failed(failure: TapFailure): AccessError {
  return failure === "malformed" ? new ConnectionLost() : new ReaderNotTrusted();
}

/** A problem in the cloud's answer (RFC 9457, with our `code` and what is wrong with each field). */
export interface Problem {
  readonly code: string;
  readonly detail?: string;
  readonly errors?: readonly { readonly field: string; readonly detail: string }[];
}

/** What a problem means for an app. */
export function problem({ code, detail, errors = [] }: Problem): AccessError {
  const kind = BY_CODE.get(code);
  const fields = errors.map((each) => (each.field ? `${each.field}: ${each.detail}` : each.detail)).join(" ");
  return kind ? new kind() : new CloudRefused(fields || detail, null, code);
}

/** What an app may not ask for, whatever the cloud thinks. */
export function invalid(sentence: string): AccessError {
  return new CloudRefused(sentence, null, "invalid");
}

/** Any error as one of these: what a platform says without a meaning here is the cause. */
export function known(error: unknown): AccessError {
  return error instanceof AccessError ? error : new AccessError(undefined, null, undefined, { cause: error });
}
