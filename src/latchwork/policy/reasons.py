"""The closed set of reasons. A code never changes its meaning and is never reused; the sentence may be reworded."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a door opened or did not: a stable code, and in `sentence` what a person reads."""

    sentence: str

    def __new__(cls, code: str, sentence: str) -> Reason:
        member = str.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member

    GRANTED = "granted", "Welcome, the door is open."

    # The reader and its door
    UNKNOWN_DOOR = "unknown_door", "This reader does not know its door yet; please ask the front desk."
    NO_READER = "no_reader", "This door has no reader on this side."
    NOT_SYNCED = "not_synced", "This door has not heard from its cloud yet; please ask the front desk."
    OFFLINE_TOO_LONG = "offline_too_long", "This door has been offline for too long; please ask the front desk."
    CLOCK_UNTRUSTED = "clock_untrusted", "This door does not know the time yet; please try again in a moment."
    JOURNAL_UNAVAILABLE = "journal_unavailable", "This door cannot keep its records now; please ask the front desk."
    READER_FAULT = "reader_fault", "The door had a fault; please try again."

    # What was shown
    PASS_UNREADABLE = "pass_unreadable", "This is not a code that opens doors."
    PASS_TOO_LONG = "pass_too_long", "This code is too long to be one that opens doors."
    PASS_UNKNOWN_KEY = "pass_unknown_key", "This code was made for another organisation, or is too new for this door."
    PASS_FORGED = "pass_forged", "This code was altered or is not genuine."
    PASS_WRONG_CLAIMS = "pass_wrong_claims", "This code says something that its maker may not say."

    # A visitor's pass
    PASS_FROM_FUTURE = "pass_from_future", "This code is dated in the future; please refresh it."
    PASS_NOT_YET_VALID = "pass_not_yet_valid", "Your visit has not begun; please refresh the code when it has."
    PASS_EXPIRED = "pass_expired", "This code has expired; please refresh it."
    PASS_REVOKED = "pass_revoked", "Your visit was changed; please refresh the code."
    PASS_WRONG_DOOR = "pass_wrong_door", "This code does not open this door."
    ALREADY_USED = "already_used", "This code was already used here; please refresh it."

    # People
    LOCKDOWN = "lockdown", "This door is in lockdown and opens for nobody."
    DEACTIVATED = "deactivated", "Your access is switched off; please ask the front desk."
    ACCESS_EXPIRED = "access_expired", "Your access has ended; please ask the front desk."
    WAY_OFF = "way_off", "This way in is switched off for you; please use another one."
    NO_PERMISSION = "no_permission", "You have no permission for this door."
    PERMISSION_NOT_BEGUN = "permission_not_begun", "Your permission for this door has not begun."
    PERMISSION_ENDED = "permission_ended", "Your permission for this door has ended."
    OUTSIDE_SCHEDULE = "outside_schedule", "Your permission for this door does not hold at this time."
    TOO_FAR = "too_far", "You are too far away; please come closer to the door."
    NOT_YOUR_ROLE = "not_your_role", "Holding this door open or locking it is not part of your role here."
    PIN_NEEDED = "pin_needed", "This door asks for your PIN after the card."
    PIN_WRONG = "pin_wrong", "This PIN is wrong."
    PIN_NOT_SET = "pin_not_set", "This door asks for a PIN and you have none; please ask the front desk."
    SLOWED_DOWN = "slowed_down", "Too many tries; please wait a moment."
    UNKNOWN_CREDENTIAL = "unknown_credential", "This card or phone is not known here."
    READ_FOR_ASSIGNMENT = "read_for_assignment", "This card has been read for assignment."
