"""One attempt as the journal tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from latchwork.edge.journal import CODE_USES, Use, code_id
from latchwork.edge.known import Holder
from latchwork.policy.decide import CODE_SECONDS, LEEWAY
from latchwork.policy.model import (
    Attempt,
    CardRead,
    Decision,
    Evidence,
    PhoneProof,
    RemoteUnlock,
    VerifiedPass,
    VerifiedPhoneCode,
)
from latchwork.wire.facts import AccessDecided


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt, whoever it was, and the remote unlock that it carries out, if any."""

    attempt: Attempt
    holder: Holder | None = None
    command: int | None = None
    in_lockdown: bool = False

    @property
    def card(self) -> str | None:
        """The key of the record of the card that was shown; None: no card, or one that nobody knows."""
        return None if self.holder is None else self.holder.card

    def fact(self, decision: Decision) -> AccessDecided:
        """What was decided; a card's number is never in it."""
        attempt, shown = self.attempt, self.attempt.evidence
        visit = shown if isinstance(shown, VerifiedPass) else None
        return AccessDecided(
            at=attempt.at,
            door=attempt.access_point,
            direction=attempt.direction.value,
            reason=decision.reason.value,
            credential=_credential(shown),
            visitor=visit.visitor if visit else None,
            meeting=visit.meeting if visit else None,
            pass_id=visit.pass_id if visit else None,
            shared_suspected=decision.shared_suspected,
            user=self.holder.user if self.holder else None,
            card=self.card,
            command=self.command,
            phone=self.holder.phone if self.holder else None,
            manner=_manner(shown),
            ask=shown.ask.value if isinstance(shown, PhoneProof) else "open",
            in_lockdown=self.in_lockdown,
        )

    def use(self) -> Use | None:
        """What to remember of a grant; a pass or code need not be remembered once no door takes it any more."""
        attempt = self.attempt
        match attempt.evidence:
            case VerifiedPass(pass_id=pass_id, expires_at=expires_at):
                return Use(pass_id, attempt.access_point, attempt.direction, attempt.at, expires_at + LEEWAY)
            case VerifiedPhoneCode() as code:
                return Use(code_id(code), *CODE_USES, attempt.at, code.issued_at + CODE_SECONDS + LEEWAY)
            case _:
                return None


def _credential(shown: Evidence) -> Literal["qr", "card", "phone", "remote"]:
    match shown:
        case CardRead():
            return "card"
        case VerifiedPhoneCode() | PhoneProof():
            return "phone"
        case RemoteUnlock():
            return "remote"
        case _:
            return "qr"


def _manner(shown: Evidence) -> Literal["code", "tap", "click"] | None:
    match shown:
        case VerifiedPhoneCode():
            return "code"
        case PhoneProof(from_afar=from_afar):
            return "click" if from_afar else "tap"
        case _:
            return None
