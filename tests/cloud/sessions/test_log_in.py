"""People who log in: passwords, guessers, sessions, links; on the real cloud, with a real mail server and provider."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from email import message_from_bytes
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx2
import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller as MailServer
from hypothesis import given
from hypothesis import strategies as st
from oidc_provider_mock import User as Person
from oidc_provider_mock import run_server_in_thread
from tests.sdk.town import CLOUD, Town, living, opened_town

from latchwork.cloud.app import create_app
from latchwork.cloud.sessions import rules, service
from latchwork.cloud.sessions.rules import Failures
from latchwork.sdk.client import Client
from latchwork.wire.api.passages import DoorModeDraft
from latchwork.wire.api.people import UserDraft, UserPatch
from latchwork.wire.api.problems import (
    Conflict,
    Forbidden,
    Invalid,
    LinkOver,
    NotFound,
    Problem,
    TooManyRequests,
    Unauthorized,
)
from latchwork.wire.api.sessions import (
    IdentityProviderDraft,
    LogIn,
    PasswordChange,
    PasswordChoice,
    PasswordReset,
    PasswordToken,
    SignedIn,
    SignInDraft,
)
from latchwork.wire.api.sites import AccessPointDraft, SiteDraft

PASSWORD = "correct horse battery"
EMAIL = "ada@example.org"


@pytest_asyncio.fixture
async def town(fresh_dsn: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with opened_town(fresh_dsn, tmp_path) as town:
        yield town


def guest(town: Town, address: str = "192.0.2.1", app: Any = None) -> Client:
    return Client.of_session(CLOUD, None, transport=httpx2.ASGITransport(app or town.app, client=(address, 1)))


def live(town: Town, token: str) -> Client:
    return Client.of_session(CLOUD, token, transport=town.line())


async def invited(town: Town, email: str = EMAIL, **more: Any) -> tuple[int, str]:
    """A new user, and the token of their link."""
    alice = town.client(town.alice)
    user = await alice.add_user(UserDraft("Ada", email=email, **{"roles": ["super_admin"], **more}))
    return user.id, (await alice.invite_user(user.id)).url.rpartition("/")[2]


async def employed(town: Town, **more: Any) -> int:
    user, token = await invited(town, **more)
    await guest(town).choose_password(PasswordChoice(token, PASSWORD))
    return user


async def logged_in(town: Town, password: str = PASSWORD, **more: Any) -> Client:
    return live(town, (await guest(town, **more).log_in(LogIn(EMAIL, password))).token)


async def until_refused(client: Client, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        with pytest.raises(Unauthorized):
            while await client.whoami():
                await asyncio.sleep(0.05)


# ------------------------------------------------------------------------------------------------- in and out


async def test_who_knows_the_password_is_logged_in_as_themselves(town: Town) -> None:
    user = await employed(town)
    ada = await logged_in(town)
    who = await ada.whoami()
    assert (who.user_id, who.user_name, who.roles, who.client_id) == (user, "Ada", ["super_admin"], "")
    assert who.organisation_id == town.alices_id
    site = await ada.list_sessions()
    assert [(each.is_current, each.network) for each in site] == [(True, "192.0.2.1")]
    assert (await ada.page_events(0, limit=100)).events[-1].actor.kind == "user"


async def test_e_mails_are_compared_without_case_and_blanks(town: Town) -> None:
    await employed(town)
    assert (await guest(town).log_in(LogIn("  ADA@Example.ORG ", PASSWORD))).token


@pytest.mark.parametrize(
    ("email", "password"),
    [(EMAIL, "wrong"), (EMAIL, ""), ("bob@example.org", PASSWORD), ("", ""), (EMAIL, "x" * 9_999), ("\n", "\n")],
)
async def test_all_that_is_wrong_is_answered_alike(town: Town, email: str, password: str) -> None:
    await employed(town)
    with pytest.raises(Unauthorized, match="The e-mail or the password is wrong"):
        await guest(town).log_in(LogIn(email, password))


async def test_whoever_logs_out_is_out_and_nobody_else_is(town: Town) -> None:
    await employed(town)
    first, second = await logged_in(town), await logged_in(town)
    await first.log_out()
    await until_refused(first)
    assert [each.is_current for each in await second.list_sessions()] == [True]


async def test_whoever_logs_out_while_waiting_for_news_gets_none(town: Town) -> None:
    alice = town.client(town.alice)
    home, site = [await alice.add_site(SiteDraft(name)) for name in ("Head office", "Harbour House")]
    door = await alice.add_access_point(AccessPointDraft(site.id, "Front door"))
    await employed(town, roles=["site_admin"], home_site_id=home.id, admin_of_sites=[site.id])
    sam = await logged_in(town)
    waiting = asyncio.create_task(sam.page_events((await sam.last_event()).last, wait=25))
    await asyncio.sleep(0.3)
    await sam.log_out()
    await until_refused(sam)
    await alice.set_mode(door.id, DoorModeDraft("locked"))
    with pytest.raises(Unauthorized):
        await waiting


async def test_one_ends_ones_own_other_session_and_nobody_elses(town: Town) -> None:
    await employed(town)
    first, second = await logged_in(town), await logged_in(town)
    theirs = next(each.id for each in await second.list_sessions() if not each.is_current)
    with pytest.raises(NotFound):
        await second.end_session(theirs + 1_000)
    await second.end_session(theirs)
    await until_refused(first)


async def test_one_ends_all_ones_other_sessions(town: Town) -> None:
    await employed(town)
    first, second, here = [await logged_in(town) for _ in range(3)]
    await here.end_other_sessions()
    await until_refused(first)
    await until_refused(second)
    assert [each.is_current for each in await here.list_sessions()] == [True]


@pytest.mark.parametrize("patch", [UserPatch(is_active=False), UserPatch(access_expires_at=1)])
async def test_whoever_is_switched_off_is_out_within_a_second_and_stays_out(town: Town, patch: UserPatch) -> None:
    user = await employed(town)
    ada = await logged_in(town)
    alice = town.client(town.alice)
    if patch.is_active is False:
        await alice.change_user(user, patch)
    else:
        await alice.change_user(user, UserPatch(access_expires_at=int(time.time()) + 1))
    await until_refused(ada, 3)
    with pytest.raises(Unauthorized):
        await guest(town).log_in(LogIn(EMAIL, PASSWORD))
    await alice.change_user(user, UserPatch(is_active=True, access_expires_at=None))
    if patch.is_active is False:
        with pytest.raises(Unauthorized):
            await ada.whoami()
    assert (await logged_in(town)) is not None


async def test_a_deleted_user_is_out_and_nothing_of_the_log_in_is_left(town: Town) -> None:
    user = await employed(town)
    ada = await logged_in(town)
    await town.client(town.alice).remove_user(user)
    await until_refused(ada)
    conn = await asyncpg.connect(town.dsn)
    for table in ("accounts", "sessions", "password_links", "familiar_networks"):
        assert await conn.fetchval(f"SELECT count(*) FROM {table}") == 0
    await conn.close()


async def test_a_role_taken_away_is_gone_within_a_second(town: Town) -> None:
    user = await employed(town)
    ada = await logged_in(town)
    await ada.get_organisation()
    await town.client(town.alice).change_user(user, UserPatch(roles=["end_user"]))
    async with asyncio.timeout(20):
        with pytest.raises(Forbidden):
            while await ada.get_organisation():
                await asyncio.sleep(0.05)


async def test_tokens_and_passwords_are_stored_as_hashes_only(town: Town) -> None:
    _, link = await invited(town)
    await guest(town).choose_password(PasswordChoice(link, PASSWORD))
    session = await guest(town).log_in(LogIn(EMAIL, PASSWORD))
    conn = await asyncpg.connect(town.dsn)
    tables = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for table in tables:
        rows = str([dict(row) for row in await conn.fetch(f'SELECT * FROM "{table["tablename"]}"')])
        for secret in (session.token, PASSWORD, link):
            assert secret not in rows
    await conn.close()


async def test_a_client_has_no_sessions(town: Town) -> None:
    with pytest.raises(Forbidden):
        await town.client(town.alice).list_sessions()


@pytest.mark.parametrize("token", ["lws_", "lws_x", "lws_" + "A" * 43, "lws_\0", "lws_" + "é" * 9])
async def test_a_made_up_session_is_none(town: Town, token: str) -> None:
    headers = {"authorization": f"Bearer {token}".encode()}
    async with httpx2.AsyncClient(transport=town.line(), base_url=CLOUD) as http:
        assert (await http.get("/v1/whoami", headers=headers)).status_code == 401


# ------------------------------------------------------------------------------------------------- guessers


async def test_a_guesser_waits_and_the_account_s_holder_elsewhere_does_not(town: Town) -> None:
    await employed(town)
    await logged_in(town, address="198.51.100.7")
    for _ in range(rules.FREE_FAILURES):
        with pytest.raises(Unauthorized):
            await guest(town).log_in(LogIn(EMAIL, "guess"))
    conn = await asyncpg.connect(town.dsn)
    await conn.execute("UPDATE failed_log_ins SET failures = failures + 10")  # and ten more, without waiting for them
    await conn.close()
    with pytest.raises(TooManyRequests, match="Please wait"):
        await guest(town).log_in(LogIn(EMAIL, PASSWORD))
    assert await logged_in(town, address="198.51.100.7")
    assert await logged_in(town, address="203.0.113.9")


async def test_many_guesses_at_once_are_many_guesses(town: Town) -> None:
    await employed(town)
    guesses = [guest(town).log_in(LogIn(EMAIL, "guess")) for _ in range(20)]
    answers = await asyncio.gather(*guesses, return_exceptions=True)
    wrong = [answer for answer in answers if isinstance(answer, Unauthorized)]
    assert rules.FREE_FAILURES <= len(wrong) <= rules.FREE_FAILURES + 2  # a second may go by meanwhile


async def test_a_flood_from_everywhere_keeps_strangers_waiting_and_the_holder_s_own_network_not(town: Town) -> None:
    await employed(town)
    await logged_in(town, address="198.51.100.7")
    conn = await asyncpg.connect(town.dsn)
    for number in range(rules.FREE_FAILURES_ELSEWHERE + 10):
        await conn.execute(
            "INSERT INTO failed_log_ins VALUES (sha256($1), $2, 1, $3)",
            EMAIL.encode(), f"10.0.0.{number}", int(time.time()),
        )  # fmt: skip
    await conn.close()
    with pytest.raises(TooManyRequests):
        await guest(town, "203.0.113.9").log_in(LogIn(EMAIL, PASSWORD))
    assert await logged_in(town, address="198.51.100.7")


async def test_the_right_password_forgives(town: Town) -> None:
    await employed(town)
    for _ in range(3):
        for _ in range(rules.FREE_FAILURES - 1):
            with pytest.raises(Unauthorized):
                await guest(town).log_in(LogIn(EMAIL, "guess"))
        assert await logged_in(town)


async def test_whoever_guesses_the_password_in_a_session_waits_too(town: Town) -> None:
    await employed(town)
    ada = await logged_in(town)
    for _ in range(2):
        for _ in range(rules.FREE_FAILURES - 1):
            with pytest.raises(Invalid):
                await ada.change_password(PasswordChange("guess", "another long one"))
        with pytest.raises(Invalid, match="10 to 200"):
            await ada.change_password(PasswordChange(PASSWORD, "short"))  # right, and so forgiven
    with pytest.raises(TooManyRequests, match=r"Please wait \d+ seconds?\."):
        for _ in range(rules.FREE_FAILURES + 2):
            with pytest.raises(Invalid):
                await ada.change_password(PasswordChange("guess", "another long one"))


def test_a_second_is_one() -> None:
    assert [service.told(seconds) for seconds in (1, 2, 119, 120)] == [
        "1 second",
        "2 seconds",
        "119 seconds",
        "2 minutes",
    ]


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.booleans(), st.integers(0, 5_000))
def test_more_failures_never_wait_less_and_nobody_waits_for_ever(here: int, there: int, own: bool, ago: int) -> None:
    now = 1_000_000
    wait = rules.seconds_to_wait(Failures(here, now - ago), Failures(there, now - ago), own, now)
    more = rules.seconds_to_wait(Failures(here + 1, now - ago), Failures(there + 1, now - ago), own, now)
    assert 0 <= wait <= more <= rules.LONGEST_WAIT
    assert rules.seconds_to_wait(Failures(here, now), Failures(there, now), own, now + rules.LONGEST_WAIT) == 0
    assert here >= rules.FREE_FAILURES or not own or wait == 0


# ------------------------------------------------------------------------------------------------- links


async def test_a_link_works_once(town: Town) -> None:
    _, token = await invited(town)
    for _ in range(2):
        assert (await guest(town).show_password_link(PasswordToken(token))).email == EMAIL
    await guest(town).choose_password(PasswordChoice(token, PASSWORD))
    with pytest.raises(LinkOver):
        await guest(town).choose_password(PasswordChoice(token, PASSWORD))
    with pytest.raises(LinkOver):
        await guest(town).show_password_link(PasswordToken(token))


async def test_an_invitation_that_is_repeated_shows_no_link_and_ends_none(town: Town) -> None:
    user, _ = await invited(town)
    alice = town.client(town.alice)
    first, second = [await alice.invite_user(user, idempotency_key="desk-1") for _ in range(2)]
    assert (second.url, second.expires_at) == ("", first.expires_at)
    await guest(town).choose_password(PasswordChoice(first.url.rpartition("/")[2], PASSWORD))


async def test_two_who_use_a_link_at_once_are_one(town: Town) -> None:
    _, token = await invited(town)
    tries = [guest(town).choose_password(PasswordChoice(token, f"{PASSWORD} {n}")) for n in range(4)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["LinkOver"] * 3 + ["NoneType"]


async def test_a_new_link_ends_the_one_before_and_time_ends_every_one(town: Town) -> None:
    user, first = await invited(town)
    second = (await town.client(town.alice).invite_user(user)).url.rpartition("/")[2]
    with pytest.raises(LinkOver):
        await guest(town).choose_password(PasswordChoice(first, PASSWORD))
    conn = await asyncpg.connect(town.dsn)
    await conn.execute("UPDATE password_links SET expires_at = $1", int(time.time()))
    await conn.close()
    with pytest.raises(LinkOver):
        await guest(town).choose_password(PasswordChoice(second, PASSWORD))


@pytest.mark.parametrize(
    "password", ["", "short", "x" * 20, "ada@example.org", "y" * 201, "tab\tinside it", "aaaabbbbaaaa"]
)
async def test_a_bad_password_is_refused_and_the_link_stays(town: Town, password: str) -> None:
    _, token = await invited(town)
    with pytest.raises(Invalid):
        await guest(town).choose_password(PasswordChoice(token, password))
    await guest(town).choose_password(PasswordChoice(token, PASSWORD))


async def test_a_new_password_ends_every_other_session(town: Town) -> None:
    await employed(town)
    first, second = await logged_in(town), await logged_in(town)
    with pytest.raises(Invalid, match="cannot be accepted"):
        await second.change_password(PasswordChange("wrong", "another long one"))
    await second.change_password(PasswordChange(PASSWORD, "another long one"))
    await until_refused(first)
    assert await second.whoami()
    assert await logged_in(town, "another long one")
    with pytest.raises(Unauthorized):
        await logged_in(town)


async def test_an_e_mail_logs_in_one_user_of_all_organisations(town: Town) -> None:
    await employed(town)
    charlie = town.client(town.charlie)
    mallory = await charlie.add_user(UserDraft("Mallory", email=EMAIL.upper()))
    with pytest.raises(Conflict):
        await charlie.invite_user(mallory.id)
    nobody = await charlie.add_user(UserDraft("Nobody"))
    with pytest.raises(Invalid):
        await charlie.invite_user(nobody.id)


async def test_a_log_in_that_is_taken_away_is_gone(town: Town) -> None:
    user = await employed(town)
    ada = await logged_in(town)
    alice = town.client(town.alice)
    assert (await alice.get_user_account(user)).email == EMAIL
    await alice.remove_user_account(user)
    await until_refused(ada)
    for call in (alice.get_user_account(user), alice.remove_user_account(user)):
        with pytest.raises(NotFound):
            await call


# ------------------------------------------------------------------------------------------------- mail


class Inbox:
    """What a mail server was given."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(message_from_bytes(envelope.content))
        return "250 OK"


@contextmanager
def mail_server() -> Iterator[tuple[str, Inbox]]:
    inbox = Inbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = MailServer(inbox, hostname="127.0.0.1", port=port)
    server.start()
    try:
        yield f"smtp://127.0.0.1:{port}", inbox
    finally:
        server.stop()


@asynccontextmanager
async def mailing(town: Town, url: str) -> AsyncIterator[Any]:
    """Another process of the cloud, with mail."""
    app = create_app(replace(town.settings, smtp_url=url, mail_from="doors@example.org"), town.dsn)
    async with living(app):
        yield app


async def test_links_are_mailed_where_mail_is_set(town: Town) -> None:
    with mail_server() as (url, inbox):
        async with mailing(town, url) as app:
            alice = town.client(town.alice, httpx2.ASGITransport(app))
            user = await alice.add_user(UserDraft("Ada", email=EMAIL))
            invitation = await alice.invite_user(user.id)
            assert invitation.mailed
            assert (inbox.mails[0]["to"], inbox.mails[0]["from"]) == (EMAIL, "doors@example.org")
            assert invitation.url in inbox.mails[0].get_payload()
            await guest(town, app=app).choose_password(PasswordChoice(invitation.url.rpartition("/")[2], PASSWORD))
            await guest(town, app=app).reset_password(PasswordReset(EMAIL))
            await guest(town, app=app).reset_password(PasswordReset("nobody@example.org"))
            async with asyncio.timeout(30):
                while len(inbox.mails) < 2:
                    await asyncio.sleep(0.02)
            token = re.findall(r"/password/(\S+)", inbox.mails[1].get_payload())[0]
            await guest(town, app=app).choose_password(PasswordChoice(token, "another long one"))
    assert [mail["to"] for mail in inbox.mails] == [EMAIL, EMAIL]


async def test_a_mail_server_that_is_away_leaves_the_link_to_be_handed_over(town: Town) -> None:
    async with mailing(town, "smtp://127.0.0.1:9") as app:
        alice = town.client(town.alice, httpx2.ASGITransport(app))
        user = await alice.add_user(UserDraft("Ada", email=EMAIL))
        assert not (await alice.invite_user(user.id)).mailed


# ------------------------------------------------------------------------------------------------- OpenID Connect


@contextmanager
def provider() -> Iterator[str]:
    people = [Person(sub=EMAIL, claims={"email": EMAIL}), Person(sub="eve", claims={"email": "eve@example.org"})]
    unproven = Person(sub="unproven", claims={"email": EMAIL, "email_verified": False})
    with run_server_in_thread(user_claims=[*people, unproven]) as server:
        yield f"http://localhost:{server.server_port}"


async def trusted(town: Town, issuer: str, **more: Any) -> None:
    draft = IdentityProviderDraft("Example", issuer, "latchwork", "secret", **{"domains": ["example.org"], **more})
    await town.client(town.alice).set_identity_provider(draft)


async def approved(url: str, sub: str) -> dict[str, str]:
    """Somebody signs in at the provider; what it sends the browser back with."""
    async with httpx2.AsyncClient() as http:
        answer = await http.post(url, data={"sub": sub})
    assert answer.status_code == 302
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


async def signed_in(town: Town, sub: str = EMAIL) -> Client:
    begun = await guest(town).begin_sign_in(SignInDraft(EMAIL))
    back = await approved(begun.url, sub)
    assert back["state"] == begun.state
    return live(town, (await guest(town).finish_sign_in(SignedIn(back["state"], back["code"]))).token)


async def test_the_organisation_s_provider_vouches_for_whom_it_knows(town: Town) -> None:
    user, _ = await invited(town)
    with provider() as issuer:
        await trusted(town, issuer)
        assert (await (await signed_in(town)).whoami()).user_id == user


async def test_whom_nobody_invited_is_not_let_in(town: Town) -> None:
    await invited(town)
    with provider() as issuer:
        await trusted(town, issuer)
        for sub in ("eve", "unproven"):
            with pytest.raises(Problem):
                await signed_in(town, sub)


async def test_a_provider_vouches_for_its_own_organisation_alone(town: Town) -> None:
    await invited(town)
    with provider() as issuer:
        draft = IdentityProviderDraft("Evil", issuer, "latchwork", "secret", ["example.org"])
        await town.client(town.charlie).set_identity_provider(draft)
        with pytest.raises(Unauthorized, match="nobody here"):
            await signed_in(town)


async def test_a_sign_in_is_finished_once_and_soon(town: Town) -> None:
    await invited(town)
    with provider() as issuer:
        await trusted(town, issuer)
        begun = await guest(town).begin_sign_in(SignInDraft())
        back = await approved(begun.url, EMAIL)
        for state in ("x", "\n", begun.state + "x"):
            with pytest.raises(Unauthorized):
                await guest(town).finish_sign_in(SignedIn(state, back["code"]))
        await guest(town).finish_sign_in(SignedIn(back["state"], back["code"]))
        with pytest.raises(Unauthorized):
            await guest(town).finish_sign_in(SignedIn(back["state"], back["code"]))


async def test_a_code_of_another_sign_in_is_refused(town: Town) -> None:
    await invited(town)
    with provider() as issuer:
        await trusted(town, issuer)
        mine, theirs = [await guest(town).begin_sign_in(SignInDraft(EMAIL)) for _ in range(2)]
        back = await approved(theirs.url, EMAIL)
        with pytest.raises(Problem):
            await guest(town).finish_sign_in(SignedIn(mine.state, back["code"]))


@pytest.mark.parametrize(
    "issuer", ["", "x", "http://example.org", "ftp://localhost", "https://a:b@example.org", "https://x?y"]
)
async def test_an_issuer_is_an_address_that_can_be_trusted(town: Town, issuer: str) -> None:
    with pytest.raises(Invalid):
        await trusted(town, issuer)


async def test_a_provider_that_is_away_is_said_so_and_passwords_go_on(town: Town) -> None:
    await employed(town)
    await trusted(town, "http://localhost:9")
    with pytest.raises(Problem) as refused:
        await guest(town).begin_sign_in(SignInDraft(EMAIL))
    assert refused.value.code == "provider_failed"
    assert await logged_in(town)
    await town.client(town.alice).remove_identity_provider()
    with pytest.raises(NotFound):
        await guest(town).begin_sign_in(SignInDraft(EMAIL))
