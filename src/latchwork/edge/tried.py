"""One attempt as the journal tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from latchwork.edge.journal import Use
from latchwork.edge.known import Holder
from latchwork.policy.decide import LEEWAY
from latchwork.policy.model import (
    Attempt,
    CardRead,
    Decision,
    Evidence,
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
        )

    def use(self) -> Use | None:
        """What to remember of a grant; a pass need not be remembered once no door takes it any more."""
        attempt, shown = self.attempt, self.attempt.evidence
        if not isinstance(shown, VerifiedPass):
            return None
        return Use(shown.pass_id, attempt.access_point, attempt.direction, attempt.at, shown.expires_at + LEEWAY)


def _credential(shown: Evidence) -> Literal["qr", "card", "phone", "remote"]:
    match shown:
        case CardRead():
            return "card"
        case VerifiedPhoneCode():
            return "phone"
        case RemoteUnlock():
            return "remote"
        case _:
            return "qr"
