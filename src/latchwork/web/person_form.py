"""The form of a person, as it was filled in: read, turned into what the API takes, and shown again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Final

from latchwork.web import clocks
from latchwork.web.catalogue import Say
from latchwork.web.forms import kept
from latchwork.wire.api.people import Access, AccessPatch, User, UserDraft, UserPatch
from latchwork.wire.api.problems import FieldError, Invalid

WAYS: Final = ("card", "mobile", "remote")
"""The ways in that can be switched; named as in the API."""
_TEXTS: Final = ("name", "email", "phone", "employeeCode")


@dataclass(frozen=True, slots=True)
class PersonForm:
    """Its fields are called as the API's are."""

    texts: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(_TEXTS, ""))
    home_site: int | None = None
    roles: Sequence[str] = ("end_user",)
    admin_of_sites: Sequence[int] = ()
    terms: Sequence[int] = ()
    ways: Sequence[str] = ("card", "mobile")
    expires: str = ""
    """As typed, on the home site's clock."""
    chief: str = ""
    """Whom they report to, as typed."""
    chief_id: int | None = None

    def draft(self, zone: tzinfo, say: Say) -> UserDraft:
        """Raises Invalid for an instant that is none."""
        return UserDraft(**self._fields(zone, say), access=Access(**self._ways()))

    def patch(self, zone: tzinfo, say: Say, before: User) -> UserPatch:
        """What differs from the user as they were shown, so that nothing else is touched. Raises Invalid."""
        was = form_of(before, zone)
        fields = self._fields(zone, say)
        if self.expires == was.expires:
            del fields["access_expires_at"]
        changed = {name: value for name, value in fields.items() if value != getattr(before, name)}
        if self.ways != was.ways:
            changed["access"] = AccessPatch(**self._ways())
        return UserPatch(**changed)

    def kept(self, was: PersonForm, now: PersonForm) -> PersonForm:
        """What somebody changed of what was shown, the rest as it is now."""
        mine, before, after = ({name: getattr(form, name) for name in self.__slots__} for form in (self, was, now))
        return PersonForm(**{**kept(mine, before, after), "texts": kept(self.texts, was.texts, now.texts)})

    def _fields(self, zone: tzinfo, say: Say) -> dict[str, Any]:
        try:
            expires = clocks.typed(self.expires, zone)
        except (ValueError, OverflowError):
            raise Invalid(errors=[FieldError("accessExpiresAt", say("people.no_time"))]) from None
        return {
            "name": self.texts["name"],
            "email": self.texts["email"],
            "phone": self.texts["phone"],
            "employee_code": self.texts["employeeCode"],
            "home_site_id": self.home_site,
            "roles": list(self.roles),
            "admin_of_sites": list(self.admin_of_sites),
            "terms": list(self.terms),
            "reporting_to": self.chief_id,
            "access_expires_at": expires,
        }

    def _ways(self) -> dict[str, bool]:
        return {way: way in self.ways for way in WAYS}


def read(fields: Sequence[tuple[str, str]], keep: Iterable[str] = ()) -> PersonForm:
    """What came with a form; `keep`: roles that whoever fills it in cannot choose about, and the person keeps."""
    texts = {name: next((v.strip() for n, v in fields if n == name), "") for name in _TEXTS}
    chosen = [value for name, value in fields if name == "roles"]
    return PersonForm(
        texts=texts,
        home_site=next(iter(ids(fields, "homeSiteId")), None),
        roles=[*(role for role in keep if role not in chosen), *chosen] or ["end_user"],
        admin_of_sites=ids(fields, "adminOfSites"),
        terms=ids(fields, "terms"),
        ways=tuple(way for way in WAYS if (way, "yes") in fields),
        expires=next((value for name, value in fields if name == "accessExpiresAt"), ""),
        chief=next((value.strip() for name, value in fields if name == "reportingTo"), ""),
    )


def form_of(user: User, zone: tzinfo, chief: str = "") -> PersonForm:
    """A user as the form shows them; `chief`: the name of whom they report to, where that may be known."""
    return PersonForm(
        texts={"name": user.name, "email": user.email, "phone": user.phone, "employeeCode": user.employee_code},
        home_site=user.home_site_id,
        roles=user.roles,
        admin_of_sites=user.admin_of_sites,
        terms=user.terms,
        ways=tuple(way for way in WAYS if getattr(user.access, way)),
        expires=clocks.field(user.access_expires_at, zone),
        chief=f"{chief} ({user.reporting_to})".strip() if user.reporting_to is not None else "",
    )


def ids(fields: Sequence[tuple[str, str]], name: str) -> list[int]:
    """The ids in the fields of a name; what is none is left out."""
    return [id for field, value in fields if field == name and (id := number(value)) is not None]


def number(text: str | None) -> int | None:
    """A positive number that an id may be."""
    return int(text) if text and text.isascii() and text.isdecimal() and 0 < len(text) < 19 else None


def by_field(errors: Sequence[FieldError]) -> dict[str, str]:
    """The sentences of a refusal at the fields they are about."""
    return {error.field: error.detail for error in errors}
