"""Of two who change the same thing at the same time, the second is told: ETag and If-Match (RFC 9110 §13.1.1).

@patch("/v1/sites/{site_id:int}")
async def change_site(site_id: int, draft: SitePatch, by: …, if_match: IfMatch = None) -> Response[Site]:
    known = known_in(if_match)
    return tagged(await by.change(lambda work: service.change_site(work, site_id, draft, known)))
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Final, Protocol, TypeAlias, TypeVar

from litestar import Response
from litestar.params import HeaderParameter

from latchwork.wire.api.problems import Invalid, Outdated

IfMatch = Annotated[str | None, HeaderParameter(name="if-match", description="The ETag of the version you know.")]
Versions: TypeAlias = Collection[int] | None
"""Those that whoever changes something knows; None: whatever it is now."""
_ETAG: Final = re.compile(r'(W/)?"[^"]*"')
_OURS: Final = re.compile(r'"[0-9]{1,9}"')


class Versioned(Protocol):
    """A record whose version rises by one with each change."""

    @property
    def version(self) -> int: ...


V = TypeVar("V", bound=Versioned)


def tagged(record: V) -> Response[V]:
    """The record with its version as the ETag."""
    return Response(record, status_code=200, headers={"etag": f'"{record.version}"'})


def known_in(if_match: str | None) -> Versions:
    """The versions in an If-Match header; raises Invalid for what holds no ETag.

    A weak ETag, or one that is not ours, matches no version.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tags = [tag.strip() for tag in if_match.split(",")]
    if not all(map(_ETAG.fullmatch, tags)):
        raise Invalid("If-Match takes the ETag of what is changed.")
    return {int(tag.strip('"')) for tag in tags if _OURS.fullmatch(tag)}


def check_known(known: Versions, *before: Versioned) -> None:
    """Raises Outdated when one of these, which are locked, is of no version that is known."""
    if known is not None and any(record.version not in known for record in before):
        raise Outdated
