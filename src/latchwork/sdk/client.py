"""The native API as Python: one method for each of its operations, with the records and problems of `wire.api`.

    async with Client("https://access.example.org", client_id, client_secret) as cloud:
        meeting = await cloud.add_meeting(MeetingDraft(MeetingVisitor("v-1"), start, end, [door.id]))

A method is called as its operation is in the OpenAPI document, without the tag: `sites_add_site` is `add_site`. A
refusal is raised as the class that the cloud raised (`NotFound`, `Invalid` …). Besides these every method may raise
`CloudUnreachable` (no answer) and `UnexpectedAnswer` (not a Latchwork cloud).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Mapping
from copy import copy
from types import TracebackType
from typing import Final, Literal, Self, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from latchwork.sdk.answers import CloudUnreachable, UnexpectedAnswer, problem_of, record_of
from latchwork.sdk.calls import Call, pause_after, with_body
from latchwork.sdk.credentials import Credentials
from latchwork.sdk.exchange import Exchange
from latchwork.sdk.listing import Listing
from latchwork.sdk.tokens import SessionToken, Tokens, TokenSource
from latchwork.wire.api.accounts import (
    Client as ApiClient,
)
from latchwork.wire.api.accounts import (
    ClientDraft,
    ClientPatch,
    Organisation,
    OrganisationPatch,
    PassKey,
    PassKeyActivation,
    WhoAmI,
)
from latchwork.wire.api.controllers import Controller, ControllerDraft, ControllerPatch, EnrolmentCode, Rebuilt
from latchwork.wire.api.enrolment import Enrolled, Enrolment
from latchwork.wire.api.events import Acknowledgement, ActorKind, Alarm, Deed, Event, EventPage
from latchwork.wire.api.pages import DEFAULT_LIMIT, MAX_LIMIT, Page
from latchwork.wire.api.passages import (
    Attendance,
    CardEnrolmentDraft,
    Credential,
    Direction,
    DoorMode,
    DoorModeDraft,
    DoorState,
    Explanation,
    Passage,
    PassageCounts,
    Question,
    UnlockDraft,
    Unlocked,
)
from latchwork.wire.api.people import (
    Card,
    CardDraft,
    DoorPermissionsPatch,
    Holidays,
    OwnDoor,
    Permission,
    PermissionsChanged,
    PermissionsPatch,
    Role,
    Schedule,
    ScheduleDraft,
    SchedulePatch,
    Term,
    TermDraft,
    User,
    UserDraft,
    UserPatch,
    UsersImport,
    UsersImported,
)
from latchwork.wire.api.phones import AppSession, AppSessionOffer, Keyring, Phone, PhoneDraft
from latchwork.wire.api.problems import TooManyRequests, Unavailable
from latchwork.wire.api.sessions import (
    Account,
    IdentityProvider,
    IdentityProviderDraft,
    Invitation,
    LogIn,
    NewSession,
    PasswordChange,
    PasswordChoice,
    PasswordLink,
    PasswordReset,
    PasswordToken,
    Session,
    SignedIn,
    SignIn,
    SignInDraft,
    SignInOffer,
)
from latchwork.wire.api.sites import AccessPoint, AccessPointDraft, AccessPointPatch, Site, SiteDraft, SitePatch
from latchwork.wire.api.visitors import (
    Host,
    Meeting,
    MeetingDoor,
    MeetingDraft,
    MeetingPatch,
    MeetingWithPass,
    Pass,
    ShownVisit,
    VisitLink,
    Visitor,
    VisitorDraft,
    VisitorPatch,
    VisitToken,
)

__all__ = ["Client", "CloudUnreachable", "Credentials", "Listing", "UnexpectedAnswer"]

T = TypeVar("T")

LONG_POLL: Final = 25.0
"""Seconds for which `follow` lets the cloud wait for news."""


class Client:
    """An API client's access to one cloud. Secrets and tokens stay inside: they are in no repr, log or error.

    `transport`, of `httpx2`, replaces the network. A call that fails on its way or is answered with 429, 502 or 503 is
    made up to `tries` times, if a repeat can do no harm: reads, changes, deletions, and creations, which carry an
    Idempotency-Key.
    """

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        timeout: float = 30.0,
        tries: int = 3,
    ) -> None:
        self._name = f"Client({base_url!r}, {client_id!r})"
        self._exchange = Exchange(base_url, transport, timeout, tries)
        self._tokens: TokenSource = Tokens(self._exchange, Credentials(client_id, client_secret))

    def __repr__(self) -> str:
        return self._name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def acting_for(self, user_id: int) -> Client:
        """Calls for one of the organisation's users, who may do there what their roles allow and this client may too.

        It shares this client's connections: close only one of the two. The client needs the scope `users:act`; a user
        for whom nobody may act now is refused with `Invalid`, by the first call.
        """
        if not isinstance(self._tokens, Tokens):
            raise TypeError("whoever is logged in acts for themselves alone")
        acting = copy(self)
        acting._name = f"{self._name}.acting_for({user_id})"
        acting._tokens = self._tokens.for_user(user_id)
        return acting

    @classmethod
    def of_session(
        cls, base_url: str, token: str | None, *, transport: httpx2.AsyncBaseTransport | None = None
    ) -> Client:
        """Calls of somebody who is logged in (`log_in` makes the token), or (None) who is about to log in."""
        client = cls.with_tokens(Exchange(base_url, transport), SessionToken(token))
        client._name = f"Client.of_session({base_url!r})"
        return client

    @classmethod
    def with_tokens(cls, exchange: Exchange, tokens: TokenSource) -> Client:
        """Calls with the tokens of another source, on a way that others may share: whoever made it closes it."""
        client = cls.__new__(cls)
        client._name, client._exchange, client._tokens = "Client.with_tokens()", exchange, tokens
        return client

    async def aclose(self) -> None:
        """Ends the connections, and the transport that was handed in."""
        self._tokens.forget()
        await self._exchange.aclose()

    # --------------------------------------------------------------------------------------------- accounts

    async def whoami(self) -> WhoAmI:
        """Whose credentials these are and what they may do: the call to test them with."""
        return await self._get("/v1/whoami", WhoAmI)

    async def get_organisation(self) -> Organisation:
        """The organisation's settings."""
        return await self._get("/v1/organisation", Organisation)

    async def change_organisation(self, patch: OrganisationPatch, *, version: int | None = None) -> Organisation:
        """Changes settings; the doors follow at once.

        With `version`, here and wherever there is one, only what you know is changed: Outdated when somebody else was
        quicker. Then it is not repeated by itself, for a repeat could not tell its own first try from somebody else.
        """
        return await self._patch("/v1/organisation", patch, Organisation, version=version)

    def page_clients(self, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None) -> Listing[ApiClient]:
        """The organisation's API clients."""
        return self._list("/v1/clients", Page[ApiClient], limit, cursor)

    async def add_client(self, draft: ClientDraft, *, idempotency_key: str | None = None) -> ApiClient:
        """Makes an API client; `client_secret` is shown this once.

        When the first answer was lost on the way, the repeat's holds no secret: `rotate_secret` makes a new one.
        """
        return await self._create("/v1/clients", draft, ApiClient, idempotency_key)

    async def get_client(self, client_id: int) -> ApiClient:
        """One API client."""
        return await self._get(f"/v1/clients/{client_id}", ApiClient)

    async def change_client(self, client_id: int, patch: ClientPatch) -> ApiClient:
        """Changes an API client; scopes taken away are gone within a second, also from tokens already issued."""
        return await self._patch(f"/v1/clients/{client_id}", patch, ApiClient)

    async def rotate_secret(self, client_id: int) -> ApiClient:
        """Replaces the secret; the old one and every token made with it end. Never repeated by itself."""
        return await self._post(f"/v1/clients/{client_id}/secret", ApiClient, is_safe=False)

    async def revoke_client(self, client_id: int) -> None:
        """Revokes an API client: it is refused everywhere within a second."""
        await self._delete(f"/v1/clients/{client_id}")

    # --------------------------------------------------------------------------------------------- sessions

    async def log_in(self, draft: LogIn) -> NewSession:
        """Logs a person in; `Client.of_session(base_url, session.token)` then calls in their name."""
        return await self._post("/v1/sessions", NewSession, draft, is_safe=False, needs_token=False)

    async def list_sessions(self) -> list[Session]:
        """Where the caller is logged in."""
        return await self._get("/v1/sessions", list[Session])

    async def log_out(self) -> None:
        """Ends the session that asks."""
        await self._delete("/v1/sessions/current")

    async def end_other_sessions(self) -> None:
        """Ends all of the caller's sessions but the one that asks."""
        await self._delete("/v1/sessions/others")

    async def end_session(self, session_id: int) -> None:
        """Ends one of the caller's sessions."""
        await self._delete(f"/v1/sessions/{session_id}")

    async def get_account(self) -> Account:
        """The caller's own log-in."""
        return await self._get("/v1/account", Account)

    def page_own_doors(self, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None) -> Listing[OwnDoor]:
        """The doors that the caller, a person, may open, and when."""
        return self._list("/v1/account/doors", Page[OwnDoor], limit, cursor)

    def page_own_passages(self, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None) -> Listing[Passage]:
        """Where the caller, a person, came, went and was refused, the latest to become known first."""
        return self._list("/v1/account/passages", Page[Passage], limit, cursor)

    async def change_password(self, change: PasswordChange) -> None:
        """Changes the caller's password; their other sessions end."""
        await self._do("/v1/account/password", change)

    async def show_password_link(self, token: PasswordToken) -> PasswordLink:
        """Whose password the link of an invitation or a reset is for; raises LinkOver. The link stays as it is."""
        return await self._post("/v1/account/password-link", PasswordLink, token, is_safe=False, needs_token=False)

    async def choose_password(self, choice: PasswordChoice) -> None:
        """Sets the password of whoever holds the link of an invitation or a reset."""
        await self._do("/v1/account/password-by-link", choice, needs_token=False)

    async def reset_password(self, reset: PasswordReset) -> None:
        """Mails a link to whoever has an account with this e-mail; says nothing about whether somebody has."""
        await self._do("/v1/account/reset", reset, needs_token=False)

    async def get_sign_in_offer(self) -> SignInOffer:
        """Whether there is an OpenID provider to sign in with; needs no token."""
        return record_of(await self._answer(Call("GET", "/v1/sign-ins"), needs_token=False), SignInOffer)

    async def begin_sign_in(self, draft: SignInDraft) -> SignIn:
        """Where somebody signs in with their organisation's own OpenID provider, by their e-mail's domain."""
        return await self._post("/v1/sign-ins", SignIn, draft, is_safe=False, needs_token=False)

    async def finish_sign_in(self, draft: SignedIn) -> NewSession:
        """Logs in whom the provider vouches for."""
        return await self._post("/v1/sessions/by-sign-in", NewSession, draft, is_safe=False, needs_token=False)

    async def get_identity_provider(self) -> IdentityProvider:
        """The organisation's own OpenID provider; raises NotFound when there is none."""
        return await self._get("/v1/organisation/identity-provider", IdentityProvider)

    async def set_identity_provider(self, draft: IdentityProviderDraft) -> IdentityProvider:
        """Lets people sign in with an OpenID provider: those who have an account with the e-mail it vouches for."""
        return await self._post("/v1/organisation/identity-provider", IdentityProvider, draft)

    async def remove_identity_provider(self) -> None:
        """Takes the provider away; whoever is logged in stays so."""
        await self._delete("/v1/organisation/identity-provider")

    async def get_user_account(self, user_id: int) -> Account:
        """The log-in of a user; raises NotFound when they have none."""
        return await self._get(f"/v1/users/{user_id}/account", Account)

    async def invite_user(self, user_id: int, *, idempotency_key: str | None = None) -> Invitation:
        """Makes the link with which a user chooses a password and logs in; an older link ends.

        Never repeated by itself: the answer to a repeat makes no link, and shows none.
        """
        path = f"/v1/users/{user_id}/invitation"
        return await self._create(path, None, Invitation, idempotency_key, is_safe=False)

    async def remove_user_account(self, user_id: int) -> None:
        """Takes a user's log-in away: their sessions end; their doors stay."""
        await self._delete(f"/v1/users/{user_id}/account")

    # --------------------------------------------------------------------------------------------- events

    async def page_events(
        self,
        after: int = 0,
        *,
        limit: int = DEFAULT_LIMIT,
        wait: float = 0,
        order: Literal["oldest", "newest"] = "oldest",
        before: int | None = None,
        deed: Deed | Literal["any"] | None = None,
        actor: ActorKind | None = None,
        subject: str | None = None,
        since: int | None = None,
        until: int | None = None,
    ) -> EventPage:
        """Events above a number, oldest first; with `wait` (at most 30) the answer comes as soon as there is one.

        With `order="newest"` those below `before`, newest first, until `last` is 0. All that follows `before` searches
        what somebody did, without what doors tell: `deed="any"`, by whom, about what (`user/7`), recorded when.
        """
        given = {"before": before, "deed": deed, "actor": actor, "subject": subject, "since": since, "until": until}
        query: dict[str, str | float] = {"after": after, "limit": limit, "wait": wait, "order": order}
        query |= {name: value for name, value in given.items() if value is not None}
        return await self._get("/v1/events", EventPage, query, patience=wait)

    async def last_event(self) -> EventPage:
        """The newest event's number as `last`, with no events: where to begin reading along."""
        return await self._get("/v1/events/last", EventPage)

    def page_alarms(
        self, *, open: bool | None = None, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Listing[Alarm]:
        """Alarms, the newest first: all, or only open ones, or only those that somebody has acknowledged."""
        wanted = None if open is None else "true" if open else "false"
        return self._list("/v1/alarms", Page[Alarm], limit, cursor, open=wanted)

    async def acknowledge_alarm(self, number: int, said: Acknowledgement | None = None) -> Alarm:
        """Says that somebody has seen to an alarm, by its event's number; who said so first stands."""
        return await self._post(f"/v1/alarms/{number}/acknowledge", Alarm, said or Acknowledgement())

    async def follow(self, after: int | None = None) -> AsyncIterator[Event]:
        """Every event above a number as it happens, for ever, each exactly once; None: from now on.

        An outage of the cloud delays events and loses none; a refusal (Unauthorized, Forbidden) ends it. To go on
        later, hand in the number of the last event that you have dealt with.
        """
        last = (await self.last_event()).last if after is None else after
        failures = 0
        while True:
            try:
                page = await self.page_events(last, limit=MAX_LIMIT, wait=LONG_POLL)
            except (CloudUnreachable, Unavailable, TooManyRequests) as failure:
                failures += 1
                await asyncio.sleep(pause_after(failure, failures))
                continue
            failures, last = 0, page.last
            for event in page.events:
                yield event

    # --------------------------------------------------------------------------------------------- sites

    def page_sites(self, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None) -> Listing[Site]:
        """Sites."""
        return self._list("/v1/sites", Page[Site], limit, cursor)

    async def add_site(self, draft: SiteDraft, *, idempotency_key: str | None = None) -> Site:
        """Creates a site."""
        return await self._create("/v1/sites", draft, Site, idempotency_key)

    async def get_site(self, site_id: int) -> Site:
        """One site."""
        return await self._get(f"/v1/sites/{site_id}", Site)

    async def change_site(self, site_id: int, patch: SitePatch, *, version: int | None = None) -> Site:
        """Changes a site; with `version` only the one that you know (Outdated)."""
        return await self._patch(f"/v1/sites/{site_id}", patch, Site, version=version)

    async def remove_site(self, site_id: int) -> None:
        """Deletes a site that has no doors, is nobody's home and that nobody administers."""
        await self._delete(f"/v1/sites/{site_id}")

    def page_access_points(
        self, *, site: int | None = None, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Listing[AccessPoint]:
        """Doors, of one site or of all."""
        return self._list("/v1/access-points", Page[AccessPoint], limit, cursor, site=site)

    async def add_access_point(self, draft: AccessPointDraft, *, idempotency_key: str | None = None) -> AccessPoint:
        """Creates a door; its controller knows it as soon as its link is up."""
        return await self._create("/v1/access-points", draft, AccessPoint, idempotency_key)

    async def get_access_point(self, access_point_id: int) -> AccessPoint:
        """One door."""
        return await self._get(f"/v1/access-points/{access_point_id}", AccessPoint)

    async def change_access_point(
        self, access_point_id: int, patch: AccessPointPatch, *, version: int | None = None
    ) -> AccessPoint:
        """Changes a door, or moves it to another controller; with `version` only the one that you know (Outdated)."""
        return await self._patch(f"/v1/access-points/{access_point_id}", patch, AccessPoint, version=version)

    async def remove_access_point(self, access_point_id: int) -> None:
        """Deletes a door: its controller forgets it, and every meeting loses it."""
        await self._delete(f"/v1/access-points/{access_point_id}")

    # --------------------------------------------------------------------------------------------- controllers

    def page_controllers(self, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None) -> Listing[Controller]:
        """Controllers, with what each should hold and has confirmed."""
        return self._list("/v1/controllers", Page[Controller], limit, cursor)

    async def add_controller(self, draft: ControllerDraft, *, idempotency_key: str | None = None) -> Controller:
        """Creates a controller; make an enrolment code for it next."""
        return await self._create("/v1/controllers", draft, Controller, idempotency_key)

    async def get_controller(self, controller_id: int) -> Controller:
        """One controller."""
        return await self._get(f"/v1/controllers/{controller_id}", Controller)

    async def change_controller(self, controller_id: int, patch: ControllerPatch) -> Controller:
        """Renames a controller, or gives it other doors."""
        return await self._patch(f"/v1/controllers/{controller_id}", patch, Controller)

    async def remove_controller(self, controller_id: int) -> None:
        """Deletes a controller: its link ends and its doors have none."""
        await self._delete(f"/v1/controllers/{controller_id}")

    async def make_enrolment_code(self, controller_id: int) -> EnrolmentCode:
        """A one-time code, good for 15 minutes; an older one ends. Never repeated by itself."""
        return await self._post(f"/v1/controllers/{controller_id}/enrolment-code", EnrolmentCode, is_safe=False)

    async def rebuild_controller(self, controller_id: int) -> Rebuilt:
        """Computes the controller's whole state anew and sends what differed."""
        return await self._post(f"/v1/controllers/{controller_id}/rebuild", Rebuilt)

    async def accept_snapshot(self, controller_id: int) -> Controller:
        """Ends the freeze after the cloud was restored from a backup; Conflict when there is none. Never repeated."""
        return await self._post(f"/v1/controllers/{controller_id}/accept-snapshot", Controller, is_safe=False)

    async def enrol(self, enrolment: Enrolment) -> Enrolled:
        """Enrols a controller's own key with a one-time code; needs no token."""
        return await self._post("/v1/enrol", Enrolled, enrolment, needs_token=False)

    async def list_pass_keys(self) -> list[PassKey]:
        """The keys that sign visitors' passes."""
        return await self._get("/v1/organisation/pass-keys", list[PassKey])

    async def add_pass_key(self) -> PassKey:
        """Makes a new key: the doors learn it now; activate it when they all have. Never repeated by itself."""
        return await self._post("/v1/organisation/pass-keys", PassKey, is_safe=False)

    async def activate_pass_key(self, kid: str, activation: PassKeyActivation | None = None) -> PassKey:
        """Signs passes with this key from now on; Conflict names the controllers that have not confirmed it."""
        path = f"/v1/organisation/pass-keys/{quote(kid, safe='')}/activate"
        return await self._post(path, PassKey, activation or PassKeyActivation())

    async def remove_pass_key(self, kid: str) -> None:
        """Deletes a key that is not active: every pass that it signed is refused."""
        await self._delete(f"/v1/organisation/pass-keys/{quote(kid, safe='')}")

    async def pass_jwks(self, organisation_id: int) -> dict[str, list[dict[str, str]]]:
        """An organisation's public pass keys as a JWKS (RFC 7517 §5); needs no token."""
        answer = dict[str, list[dict[str, str]]]
        return await self._get(f"/v1/pass-keys/{organisation_id}", answer, needs_token=False)

    # --------------------------------------------------------------------------------------------- visitors

    def page_visitors(
        self, *, key: str | None = None, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Listing[Visitor]:
        """Visitors; with `key` the one that you call so."""
        return self._list("/v1/visitors", Page[Visitor], limit, cursor, key=key)

    async def add_visitor(self, draft: VisitorDraft, *, idempotency_key: str | None = None) -> Visitor:
        """Creates a visitor; a meeting does it by itself when it names a new key."""
        return await self._create("/v1/visitors", draft, Visitor, idempotency_key)

    async def get_visitor(self, visitor_id: int) -> Visitor:
        """One visitor."""
        return await self._get(f"/v1/visitors/{visitor_id}", Visitor)

    async def change_visitor(self, visitor_id: int, patch: VisitorPatch) -> Visitor:
        """Changes what is known of a visitor."""
        return await self._patch(f"/v1/visitors/{visitor_id}", patch, Visitor)

    async def remove_visitor(self, visitor_id: int) -> None:
        """Deletes a visitor with all of their meetings; every QR of theirs stops."""
        await self._delete(f"/v1/visitors/{visitor_id}")

    def page_meetings(
        self,
        *,
        visitor: int | None = None,
        ends_after: int | None = None,
        ends_before: int | None = None,
        starts_after: int | None = None,
        starts_before: int | None = None,
        search: str | None = None,
        order: Literal["id", "start", "-start"] = "id",
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Listing[Meeting]:
        """Meetings, of one visitor or of all, without their codes.

        `starts_after` and `ends_before` are inside, `starts_before` and `ends_after` are not. `search`: in the
        visitor's name or company.
        """
        return self._list(
            "/v1/meetings",
            Page[Meeting],
            limit,
            cursor,
            visitor=visitor,
            endsAfter=ends_after,
            endsBefore=ends_before,
            startsAfter=starts_after,
            startsBefore=starts_before,
            search=search,
            order=order,
        )

    async def add_meeting(self, draft: MeetingDraft, *, idempotency_key: str | None = None) -> MeetingWithPass:
        """Books a visit; `current_pass.qr_data` is the text of its QR code."""
        return await self._create("/v1/meetings", draft, MeetingWithPass, idempotency_key)

    async def get_meeting(self, meeting_id: int) -> Meeting:
        """One meeting, without its code."""
        return await self._get(f"/v1/meetings/{meeting_id}", Meeting)

    async def change_meeting(self, meeting_id: int, patch: MeetingPatch) -> MeetingWithPass:
        """Changes times or doors; a change revokes every earlier QR of the meeting, and the answer holds a new one."""
        return await self._patch(f"/v1/meetings/{meeting_id}", patch, MeetingWithPass)

    async def remove_meeting(self, meeting_id: int) -> None:
        """Deletes a meeting; its QR codes stop."""
        await self._delete(f"/v1/meetings/{meeting_id}")

    async def check_in(self, meeting_id: int) -> Meeting:
        """Notes that the visitor has come, or is back; an entry at a door does it by itself."""
        return await self._post(f"/v1/meetings/{meeting_id}/check-in", Meeting)

    async def check_out(self, meeting_id: int) -> Meeting:
        """Notes that the visitor has left; their codes stay as they are."""
        return await self._post(f"/v1/meetings/{meeting_id}/check-out", Meeting)

    async def end_meeting(self, meeting_id: int) -> Meeting:
        """Ends a meeting that has begun: its QR codes stop, and whoever came is checked out."""
        return await self._post(f"/v1/meetings/{meeting_id}/end", Meeting)

    async def list_meeting_doors(self, meeting_id: int) -> list[MeetingDoor]:
        """A meeting's doors, and those that refuse earlier codes of it: whether they are online and know."""
        return await self._get(f"/v1/meetings/{meeting_id}/doors", list[MeetingDoor])

    def page_meeting_passages(
        self, meeting_id: int, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Listing[Passage]:
        """Entries and refusals with a meeting's codes, the latest to become known first."""
        return self._list(f"/v1/meetings/{meeting_id}/passages", Page[Passage], limit, cursor)

    async def make_visit_link(self, meeting_id: int, *, idempotency_key: str | None = None) -> VisitLink:
        """A fresh link to the visitor's own page, mailed where that can be; the link before ends.

        Never repeated by itself: the answer to a repeat makes no link, and shows none.
        """
        path = f"/v1/meetings/{meeting_id}/link"
        return await self._create(path, None, VisitLink, idempotency_key, is_safe=False)

    async def show_visit(self, token: VisitToken) -> ShownVisit:
        """The visit of whoever holds the link of a visitor's own page, with a fresh code; needs no token of a client.

        NotFound: the link was replaced; Conflict: the visit is over. Never repeated by itself.
        """
        return await self._post("/v1/visit", ShownVisit, token, is_safe=False, needs_token=False)

    async def list_hosts(self, search: str) -> list[Host]:
        """Active users whose name has words that begin so, as far as their names."""
        return await self._get("/v1/hosts", list[Host], {"search": search})

    async def issue_pass(self, meeting_id: int) -> Pass:
        """A fresh QR text, good for the organisation's seconds from now on."""
        return await self._post(f"/v1/meetings/{meeting_id}/pass", Pass)

    async def draw_svg(self, meeting_id: int) -> bytes:
        """A fresh QR code as SVG."""
        return await self._answer(Call("GET", f"/v1/meetings/{meeting_id}/pass.svg"))

    async def draw_png(self, meeting_id: int, *, scale: int = 8) -> bytes:
        """A fresh QR code as PNG, `scale` pixels per module (1 to 20)."""
        return await self._answer(Call("GET", f"/v1/meetings/{meeting_id}/pass.png", {"scale": scale}))

    # --------------------------------------------------------------------------------------------- people

    def page_users(
        self,
        *,
        search: str | None = None,
        active: bool | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Listing[User]:
        """Users; with `search` those whose name has words that begin so, or whose e-mail or employee code does.

        Accents and punctuation do not count. Four digits also find a card that ends so.
        """
        return self._list("/v1/users", Page[User], limit, cursor, search=search, active=active)

    async def add_user(self, draft: UserDraft, *, idempotency_key: str | None = None) -> User:
        """Creates a user, with the default doors and those asked for."""
        return await self._create("/v1/users", draft, User, idempotency_key)

    async def import_users(self, sheet: UsersImport, *, idempotency_key: str | None = None) -> UsersImported:
        """Takes in people from CSV: all lines or none. With `dry_run` nothing changes, and every bad line is listed."""
        return await self._create("/v1/users/import", sheet, UsersImported, idempotency_key)

    async def export_users(self, *, after: int = 0, most: int | None = None) -> bytes:
        """Everybody by id as CSV; `after` an id: only those above it, without the line of column names."""
        query = {"after": after} if most is None else {"after": after, "most": most}
        return await self._answer(Call("GET", "/v1/users/export", query))

    async def get_user(self, user_id: int) -> User:
        """One user."""
        return await self._get(f"/v1/users/{user_id}", User)

    async def change_user(self, user_id: int, patch: UserPatch, *, version: int | None = None) -> User:
        """Changes, deactivates or activates a user; with `version` only the one that you know (Outdated)."""
        return await self._patch(f"/v1/users/{user_id}", patch, User, version=version)

    async def remove_user(self, user_id: int) -> None:
        """Deletes a user for good, with permissions and cards."""
        await self._delete(f"/v1/users/{user_id}")

    def page_permissions(
        self, user_id: int, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Listing[Permission]:
        """A user's permissions, and where each has arrived: assigned, pending, or being removed."""
        return self._list(f"/v1/users/{user_id}/permissions", Page[Permission], limit, cursor)

    async def change_permissions(
        self, user_id: int, patch: PermissionsPatch, *, wait: Literal["applied"] | None = None, timeout: float = 5
    ) -> PermissionsChanged:
        """Gives, changes and withdraws permissions, all or nothing.

        With `wait="applied"` the answer comes when every online door has confirmed, after `timeout` seconds (at most
        30) at the latest, and names the controllers that have not.
        """
        return await self._give_and_take(f"/v1/users/{user_id}/permissions", patch, wait, timeout)

    def page_door_permissions(
        self, access_point_id: int, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Listing[Permission]:
        """Who may open a door, and where each permission has arrived: assigned, pending, or being removed."""
        return self._list(f"/v1/access-points/{access_point_id}/permissions", Page[Permission], limit, cursor)

    async def change_door_permissions(
        self,
        access_point_id: int,
        patch: DoorPermissionsPatch,
        *,
        wait: Literal["applied"] | None = None,
        timeout: float = 5,
    ) -> PermissionsChanged:
        """The same from the door's side: for many users at once."""
        return await self._give_and_take(f"/v1/access-points/{access_point_id}/permissions", patch, wait, timeout)

    async def list_cards(self, user_id: int) -> list[Card]:
        """A user's cards, by their last four digits."""
        return await self._get(f"/v1/users/{user_id}/cards", list[Card])

    async def add_card(self, user_id: int, draft: CardDraft, *, idempotency_key: str | None = None) -> Card:
        """Assigns a card; Conflict when it belongs to somebody else."""
        return await self._create(f"/v1/users/{user_id}/cards", draft, Card, idempotency_key)

    async def get_card(self, user_id: int, card_id: int) -> Card:
        """One card with its whole number."""
        return await self._get(f"/v1/users/{user_id}/cards/{card_id}", Card)

    async def remove_card(self, user_id: int, card_id: int) -> None:
        """Takes a card away; the doors forget its number."""
        await self._delete(f"/v1/users/{user_id}/cards/{card_id}")

    # --------------------------------------------------------------------------------------------- phones

    async def begin_app_session(self, user_id: int, scopes: Collection[str] = ()) -> str:
        """A one-time token to hand to a user's app within ten minutes: with it the app logs in as the user.

        The app reaches what is the user's own: doors, phones, codes. `scopes`: what else, if the user's roles allow it.
        The client needs the scope `users:act`; a user for whom nobody may act now is refused with `Invalid`.
        """
        if not isinstance(self._tokens, Tokens):
            raise TypeError("whoever is logged in acts for themselves alone")
        return await self._tokens.offered_to(user_id, scopes)

    async def begin_own_app_session(self) -> AppSessionOffer:
        """For whoever is logged in: a one-time token with which an app of their own logs in within ten minutes."""
        return await self._post("/v1/account/app-session", AppSessionOffer)

    async def enrol_phone(self, draft: PhoneDraft, *, idempotency_key: str | None = None) -> Phone:
        """Enrols the phone in whose app the caller is logged in; the same keys again are the same phone.

        Raises Invalid, Conflict when a key was enrolled before, PhoneLimitReached, PhoneLocked.
        """
        return await self._create("/v1/account/phones", draft, Phone, idempotency_key)

    async def list_own_phones(self) -> list[Phone]:
        """The caller's phones, and at how many doors each is known."""
        return await self._get("/v1/account/phones", list[Phone])

    async def remove_own_phone(self, phone_id: int) -> None:
        """Takes one of the caller's phones away: doors forget it, and its session ends. Raises PhoneLocked."""
        await self._delete(f"/v1/account/phones/{phone_id}")

    async def get_keyring(self) -> Keyring:
        """All that the caller's phone needs to know to work without a network."""
        return await self._get("/v1/account/keyring", Keyring)

    async def unlock_own_door(self, access_point_id: int, *, idempotency_key: str | None = None) -> Unlocked:
        """Opens a door once, now, from afar, for the caller, a person; otherwise as `unlock`."""
        path = f"/v1/account/doors/{access_point_id}/unlock"
        return await self._create(path, None, Unlocked, idempotency_key, is_safe=False)

    async def list_phones(self, user_id: int) -> list[Phone]:
        """A user's phones, and at how many doors each is known."""
        return await self._get(f"/v1/users/{user_id}/phones", list[Phone])

    async def remove_phone(self, user_id: int, phone_id: int) -> None:
        """Takes a user's phone away: doors forget it, and its session ends."""
        await self._delete(f"/v1/users/{user_id}/phones/{phone_id}")

    async def list_app_sessions(self, user_id: int) -> list[AppSession]:
        """In which apps a user is logged in."""
        return await self._get(f"/v1/users/{user_id}/app-sessions", list[AppSession])

    async def end_app_session(self, user_id: int, session_id: int) -> None:
        """Ends a user's session in an app, within a second; a phone that was enrolled in it still opens doors."""
        await self._delete(f"/v1/users/{user_id}/app-sessions/{session_id}")

    # --------------------------------------------------------------------------------------------- roles, schedules

    async def list_roles(self) -> list[Role]:
        """The roles that users of this organisation may have."""
        return await self._get("/v1/roles", list[Role])

    async def list_terms(self) -> list[Term]:
        """Labels for users, such as departments."""
        return await self._get("/v1/terms", list[Term])

    async def add_term(self, draft: TermDraft, *, idempotency_key: str | None = None) -> Term:
        """Creates a label for users."""
        return await self._create("/v1/terms", draft, Term, idempotency_key)

    async def remove_term(self, term_id: int) -> None:
        """Deletes a label; Conflict while a user has it."""
        await self._delete(f"/v1/terms/{term_id}")

    def page_schedules(self, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None) -> Listing[Schedule]:
        """Weekly schedules."""
        return self._list("/v1/schedules", Page[Schedule], limit, cursor)

    async def add_schedule(self, draft: ScheduleDraft, *, idempotency_key: str | None = None) -> Schedule:
        """Creates a weekly schedule, in the local times of each door's site."""
        return await self._create("/v1/schedules", draft, Schedule, idempotency_key)

    async def get_schedule(self, schedule_id: int) -> Schedule:
        """One schedule."""
        return await self._get(f"/v1/schedules/{schedule_id}", Schedule)

    async def change_schedule(self, schedule_id: int, patch: SchedulePatch, *, version: int | None = None) -> Schedule:
        """Changes a schedule, and every permission that uses it; with `version` only what you know (Outdated)."""
        return await self._patch(f"/v1/schedules/{schedule_id}", patch, Schedule, version=version)

    async def remove_schedule(self, schedule_id: int) -> None:
        """Deletes a schedule; Conflict while a permission uses it."""
        await self._delete(f"/v1/schedules/{schedule_id}")

    async def get_holidays(self, site_id: int) -> Holidays:
        """A site's holidays."""
        return await self._get(f"/v1/sites/{site_id}/holidays", Holidays)

    async def set_holidays(self, site_id: int, holidays: Holidays) -> Holidays:
        """Replaces a site's list of holidays."""
        return await self._post(f"/v1/sites/{site_id}/holidays", Holidays, holidays)

    # --------------------------------------------------------------------------------------------- passages

    def page_passages(
        self,
        *,
        door: int | None = None,
        site: int | None = None,
        user: int | None = None,
        visitor: int | None = None,
        direction: Direction | None = None,
        credential: Credential | None = None,
        outcome: Literal["granted", "refused", "both"] = "both",
        reason: str | None = None,
        name: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Listing[Passage]:
        """Who came, went and was refused, the latest to become known first; `since` is inside, `until` is not."""
        filters = {"door": door, "site": site, "user": user, "visitor": visitor, "since": since, "until": until}
        kinds = {"direction": direction, "credential": credential, "outcome": outcome, "reason": reason, "name": name}
        return self._list("/v1/passages", Page[Passage], limit, cursor, **filters, **kinds)

    async def count_passages(self, since: int, *, hours: int = 24, site: int | None = None) -> PassageCounts:
        """Who came in and who was refused, hour by hour from an instant on."""
        query = {"since": since, "hours": hours, **({} if site is None else {"site": site})}
        return await self._get("/v1/passages/hours", PassageCounts, query)

    async def get_attendance(self, user: int, month: str) -> Attendance:
        """When somebody first came in and last went out on each day of a month such as `2026-10`."""
        return await self._get("/v1/attendance", Attendance, {"user": user, "month": month})

    def page_door_states(
        self, *, site: int | None = None, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Listing[DoorState]:
        """How doors are now: mode, link, open or closed, alarms."""
        return self._list("/v1/door-states", Page[DoorState], limit, cursor, site=site)

    async def get_door_state(self, access_point_id: int) -> DoorState:
        """How a door is now: mode, link, open or closed, alarms."""
        return await self._get(f"/v1/access-points/{access_point_id}/state", DoorState)

    async def get_passage(self, number: int) -> Passage:
        """One entry or refusal."""
        return await self._get(f"/v1/passages/{number}", Passage)

    async def get_mode(self, access_point_id: int) -> DoorMode:
        """How a door stands, and whether its controller has confirmed it."""
        return await self._get(f"/v1/access-points/{access_point_id}/mode", DoorMode)

    async def set_mode(self, access_point_id: int, draft: DoorModeDraft) -> DoorMode:
        """Lets a door decide, stand open or stay locked, for a time or until it is changed; also while offline."""
        return await self._post(f"/v1/access-points/{access_point_id}/mode", DoorMode, draft)

    async def unlock(
        self, access_point_id: int, draft: UnlockDraft | None = None, *, idempotency_key: str | None = None
    ) -> Unlocked:
        """Opens a door once, now: `outcome` is done, refused with a `reason`, or unknown (the door may have opened).

        DoorOffline: it could not be told, and never will be. Never repeated by itself; asking again with the same key
        opens nothing again and answers what became of the first.
        """
        path = f"/v1/access-points/{access_point_id}/unlock"
        return await self._create(path, draft or UnlockDraft(), Unlocked, idempotency_key, is_safe=False)

    async def enrol_card(
        self, access_point_id: int, draft: CardEnrolmentDraft, *, idempotency_key: str | None = None
    ) -> Card:
        """Waits until a card is presented at the door's reader, and assigns it to the user.

        Raises DoorOffline, NoCardPresented after `draft.seconds`, or Conflict when the card belongs to somebody else.
        """
        path = f"/v1/access-points/{access_point_id}/enrol-card"
        return await self._create(path, draft, Card, idempotency_key, patience=draft.seconds)

    async def explain_decision(self, question: Question) -> Explanation:
        """What a door would decide and why; of a past event, what it decided then and what it would now."""
        return await self._post("/v1/decisions/explain", Explanation, question)

    # --------------------------------------------------------------------------------------------- the way there

    async def _get(
        self,
        path: str,
        record: type[T],
        query: Mapping[str, str | float] | None = None,
        *,
        needs_token: bool = True,
        patience: float = 0,
    ) -> T:
        call = Call("GET", path, query, patience=patience)
        return record_of(await self._answer(call, needs_token), record)

    def _list(
        self, path: str, record: type[Page[T]], limit: int, cursor: str | None, **filters: str | float | None
    ) -> Listing[T]:
        given = {name: value for name, value in filters.items() if value is not None}

        async def ask(cursor: str | None) -> Page[T]:
            query = {**given, "limit": limit} if cursor is None else {**given, "limit": limit, "cursor": cursor}
            return record_of(await self._answer(Call("GET", path, query)), record)

        return Listing(ask, cursor)

    async def _create(
        self,
        path: str,
        draft: msgspec.Struct | None,
        record: type[T],
        key: str | None,
        *,
        is_safe: bool = True,
        patience: float = 0,
    ) -> T:
        """A creation under a key of the caller's or of its own, so that a repeat creates nothing more."""
        headers = {"idempotency-key": key or secrets.token_hex(16)}
        call = with_body("POST", path, draft, is_safe, headers=headers, patience=patience)
        return record_of(await self._answer(call), record)

    async def _post(
        self,
        path: str,
        record: type[T],
        body: msgspec.Struct | None = None,
        *,
        is_safe: bool = True,
        needs_token: bool = True,
    ) -> T:
        call = with_body("POST", path, body, is_safe)
        return record_of(await self._answer(call, needs_token), record)

    async def _do(self, path: str, body: msgspec.Struct, *, needs_token: bool = True) -> None:
        await self._answer(with_body("POST", path, body, is_safe=False), needs_token)

    async def _patch(
        self,
        path: str,
        patch: msgspec.Struct,
        record: type[T],
        query: Mapping[str, str | float] | None = None,
        *,
        version: int | None = None,
        patience: float = 0,
    ) -> T:
        headers = None if version is None else {"if-match": f'"{version}"'}
        call = with_body("PATCH", path, patch, version is None, query=query, headers=headers, patience=patience)
        return record_of(await self._answer(call), record)

    async def _give_and_take(
        self, path: str, patch: msgspec.Struct, wait: str | None, timeout: float
    ) -> PermissionsChanged:
        if wait is None:
            return await self._patch(path, patch, PermissionsChanged)
        query: dict[str, str | float] = {"wait": wait, "timeout": timeout}
        return await self._patch(path, patch, PermissionsChanged, query, patience=timeout)

    async def _delete(self, path: str) -> None:
        await self._answer(Call("DELETE", path))

    async def _answer(self, call: Call, needs_token: bool = True) -> bytes:
        """The answer's body; a token that is refused is replaced once."""
        bearer = await self._tokens.bearer() if needs_token else None
        response = await self._exchange.answer(call, bearer)
        if response.status_code == 401 and bearer is not None:
            response = await self._exchange.answer(call, await self._tokens.instead_of(bearer))
        if response.is_success:
            return response.content
        raise problem_of(response)
