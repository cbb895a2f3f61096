"""What an app tells its user when something is refused or fails: a class, a stable code and a sentence each."""

from __future__ import annotations

from typing import ClassVar, Final

from latchwork.policy.reasons import Reason
from latchwork.wire.api import phones
from latchwork.wire.api.problems import Problem, Unavailable
from latchwork.wire.tap import TapFailure


class AccessError(Exception):
    """A door did not open, or the phone cannot do what it was asked; `code` is stable, the text is for people."""

    code: str = "failed"
    sentence: ClassVar[str] = "That did not work; please try again."

    def __init__(self, sentence: str | None = None, reason: str | None = None, code: str | None = None) -> None:
        super().__init__(sentence or self.sentence)
        self.code = code or self.code
        self.reason = reason
        """The door's own reason (`docs/reasons.md`), where a door decided."""


class NotLoggedIn(AccessError):
    code, sentence = "not_logged_in", "Please log in first."


class NotEnrolled(AccessError):
    code, sentence = "not_enrolled", "This phone is not enrolled yet."


class SessionOver(AccessError):
    code, sentence = "session_over", "Your session is over; please log in again."


class WalletUnreadable(AccessError):
    code = "wallet_unreadable"
    sentence = "What this phone has kept cannot be read: it is damaged, or of another version."


class WalletUnwritable(AccessError):
    code = "wallet_unwritable"
    sentence = "This phone cannot keep what it must remember; please free some space and try again."


class Offline(AccessError):
    code, sentence = "offline", "The phone has no connection to the cloud now."


class BluetoothOff(AccessError):
    code, sentence = "bluetooth_off", "Bluetooth is off; please switch it on."


class NoReaderNear(AccessError):
    code, sentence = "no_reader_near", "There is no reader near; please come closer to the door."


class TooFar(AccessError):
    code, sentence = "too_far", "You are too far away; please come closer to the door."


class NotPermitted(AccessError):
    code, sentence = "not_permitted", "You may not open this door now."


class Lockdown(AccessError):
    code, sentence = "lockdown", "This door is in lockdown and opens for nobody."


class ReaderNotTrusted(AccessError):
    code = "reader_not_trusted"
    sentence = "The reader could not prove that it belongs here, or this phone's clock is wrong."


class DoorOffline(AccessError):
    code, sentence = "door_offline", "The door cannot be reached now; nothing was done there."


class DoorFault(AccessError):
    code, sentence = "door_fault", "The door had a fault; please try again."


class ConnectionLost(AccessError):
    code = "connection_lost"
    sentence = "The connection to the door was lost; it may have opened. Please try again."


class PhoneLimitReached(AccessError):
    code, sentence = phones.PhoneLimitReached.code, phones.PhoneLimitReached.sentence


class PhoneLocked(AccessError):
    code, sentence = phones.PhoneLocked.code, phones.PhoneLocked.sentence


class CloudRefused(AccessError):
    """The cloud refused for another reason: `code` is one of `docs/errors.md`, or the token endpoint's `error`.

    `unexpected`: it was not the cloud that answered.
    """


_BY_REASON: Final[dict[str, type[AccessError]]] = {
    Reason.LOCKDOWN: Lockdown,
    Reason.TOO_FAR: TooFar,
    Reason.READER_FAULT: DoorFault,
    Reason.JOURNAL_UNAVAILABLE: DoorFault,
    Reason.UNKNOWN_DOOR: DoorFault,
    Reason.NOT_SYNCED: DoorFault,
    Reason.CLOCK_UNTRUSTED: DoorFault,
    Reason.OFFLINE_TOO_LONG: DoorFault,
}
_UNEXPECTED: Final = "Something else answered instead of the cloud; please check the network and the cloud's address."
_BY_CODE: Final = {kind.code: kind for kind in (DoorOffline, PhoneLimitReached, PhoneLocked)} | {
    Unavailable.code: Offline  # also what a proxy says of a cloud that is away
}
_UNTRUSTED: Final = frozenset(
    {TapFailure.FORGED, TapFailure.NOT_TRUSTED, TapFailure.UNKNOWN_SITE, TapFailure.WRONG_READER}
)


def refused(reason: str) -> AccessError:
    """What a door's refusal means for an app; a reason that is not known here is a plain no."""
    kind = _BY_REASON.get(reason, NotPermitted)
    known = next((each for each in Reason if each == reason), None)
    return kind(None if known is None else known.sentence, reason)


def problem(refused: Problem) -> AccessError:
    """What a problem in the cloud's answer means for an app."""
    kind = _BY_CODE.get(refused.code)
    said = " ".join(f"{each.field}: {each.detail}" if each.field else each.detail for each in refused.errors)
    return kind() if kind else CloudRefused(said or refused.detail, code=refused.code)


def unexpected() -> AccessError:
    """What it means for an app that something answered, but no cloud."""
    return CloudRefused(_UNEXPECTED, code="unexpected")


def failed(failure: TapFailure) -> AccessError:
    """What the end of an exchange without a decision means for an app."""
    return ReaderNotTrusted() if failure in _UNTRUSTED else ConnectionLost()
