"""The phone's side: an app's session, enrolment, what is kept for offline, codes. Bluetooth is in tests/demo."""

from __future__ import annotations

import asyncio
import resource
import signal
import stat
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from tests.sdk.lines import Recorder
from tests.sdk.town import CLOUD, Town

from latchwork.policy.model import VerifiedPhoneCode
from latchwork.policy.reasons import Reason
from latchwork.sdk import access as access_module
from latchwork.sdk import refusals
from latchwork.sdk import wallet as wallet_module
from latchwork.sdk.access import CODE_SECONDS, Access, Status
from latchwork.sdk.app_session import clock_offset
from latchwork.sdk.client import Client
from latchwork.sdk.wallet import Contents, FileWallet, MemoryWallet, Wallet, new_contents
from latchwork.wire import p256, pass_
from latchwork.wire.api.people import Access as Ways
from latchwork.wire.api.people import AccessPatch, UserDraft, UserPatch
from latchwork.wire.api.sites import AccessPointDraft, SiteDraft
from latchwork.wire.tap import TapFailure


class Clock:
    """A phone's clock, ahead of the cloud's by so many seconds."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = ahead

    def __call__(self) -> float:
        return time.time() + self.ahead


class Line(httpx2.AsyncBaseTransport):
    """The way to the cloud: it can be cut, and lose answers that were given."""

    def __init__(self, way: httpx2.AsyncBaseTransport) -> None:
        self._way = way
        self.is_up = True
        self.loses = 0
        self.takes = 0.0
        """Seconds until a request arrives."""
        self.goes_on = asyncio.Event()
        """Answers come when this is set."""
        self.goes_on.set()
        self.cut = ""
        """A path whose answers are lost."""
        self.refuses = False
        """A proxy answers in the cloud's place."""
        self.says = httpx2.Response(401, text="Please log in to this network.")

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if not self.is_up:
            raise httpx2.ConnectError("no network")
        await asyncio.sleep(self.takes)
        if self.refuses:
            return self.says
        answer = await self._way.handle_async_request(request)
        answer.headers["date"] = formatdate(usegmt=True)  # as every server says it
        await self.goes_on.wait()
        if self.cut and request.url.path.startswith(self.cut):
            raise httpx2.ReadError("the answer was lost")
        if self.loses:
            self.loses -= 1
            raise httpx2.ReadError("the answer was lost")
        return answer


@pytest_asyncio.fixture
async def alice(town: Town) -> AsyncIterator[Client]:
    async with town.client(town.alice) as client:
        yield client


@pytest_asyncio.fixture
async def bob(alice: Client) -> int:
    site = await alice.add_site(SiteDraft("Harbour House"))
    door = await alice.add_access_point(AccessPointDraft(site.id, "Front door"))
    return (await alice.add_user(UserDraft("Bob", access_points=[door.id], access=Ways(remote=True)))).id


def phone(town: Town, wallet: Wallet | None = None, line: Line | None = None, clock: Clock | None = None) -> Access:
    return Access(CLOUD, wallet or MemoryWallet(), transport=line or Line(town.line()), now=clock or Clock())


async def enrolled(town: Town, alice: Client, bob: int, wallet: Wallet | None = None, **more: object) -> Access:
    access = phone(town, wallet, **more)  # type: ignore[arg-type]
    await access.log_in(await alice.begin_app_session(bob))
    await access.enrol("Bob's Pixel")
    return access


async def renewed(access: Access) -> None:
    """Its program exchanges the session's token, three times."""
    for _ in range(3):
        access._live().forget()
        await access.refresh()


async def test_a_phone_says_how_far_it_is(town: Town, alice: Client, bob: int) -> None:
    access, told = phone(town), list[Status]()
    stop = access.on_status(told.append)
    assert access.status is Status.LOGGED_OUT
    await access.log_in(await alice.begin_app_session(bob))
    made = await access.enrol("Bob's Pixel")
    assert [door.name for door in access.doors()] == ["Front door"]
    assert [each.id for each in await access.phones()] == [made.id]
    await access.log_out()
    assert told == [Status.NOT_ENROLLED, Status.READY, Status.LOGGED_OUT]
    stop()
    await access.log_in(await alice.begin_app_session(bob))
    assert len(told) == 3


async def test_who_is_not_logged_in_is_told_so(town: Town, alice: Client, bob: int) -> None:
    access = phone(town)
    for asking in (access.refresh(), access.enrol("X"), access.tap(), access.click(1), access.unlock(1)):
        with pytest.raises(refusals.NotLoggedIn):
            await asking
    await access.log_in(await alice.begin_app_session(bob))
    with pytest.raises(refusals.NotEnrolled):
        access.code()
    await access.enrol("Bob's Pixel")
    with pytest.raises(refusals.BluetoothOff):
        await access.tap()


async def test_a_session_is_for_one_phone(town: Town, alice: Client, bob: int) -> None:
    session = await alice.begin_app_session(bob)
    await phone(town).log_in(session)
    thief = phone(town)
    with pytest.raises(refusals.SessionOver):
        await thief.log_in(session)
    assert thief.status is Status.LOGGED_OUT


async def test_a_log_in_that_did_not_get_through_is_tried_again(town: Town, alice: Client, bob: int) -> None:
    line = Line(town.line())
    access, session = phone(town, line=line), await alice.begin_app_session(bob)
    line.is_up = False
    with pytest.raises(refusals.Offline):
        await access.log_in(session)
    assert access.status is Status.LOGGED_OUT
    line.is_up, line.loses = True, 4
    with pytest.raises(refusals.Offline):
        await access.log_in(session)  # the cloud has taken it, and its answer was lost
    line.loses = 0
    await access.log_in(session)
    assert access.status is Status.NOT_ENROLLED


async def test_a_log_in_that_fails_leaves_everything_as_it_was(town: Town, alice: Client, bob: int) -> None:
    line, wallet = Line(town.line()), MemoryWallet()
    access = await enrolled(town, alice, bob, wallet, line=line)
    kept, told = wallet.load(), list[Status]()
    access.on_status(told.append)
    with pytest.raises(refusals.SessionOver):
        await access.log_in("lwr_wrong")
    line.is_up = False
    with pytest.raises(refusals.Offline):
        await access.log_in(await alice.begin_app_session(bob))
    line.is_up = True
    assert (wallet.load(), access.status, told) == (kept, Status.READY, [])
    await access.refresh()
    assert [each.last_used_at is None for each in await alice.list_phones(bob)] == [False]


@pytest.mark.parametrize("restarts", [False, True])
async def test_the_text_that_began_the_session_may_come_again(
    town: Town, alice: Client, bob: int, restarts: bool
) -> None:
    wallet, session = MemoryWallet(), await alice.begin_app_session(bob)
    access = phone(town, wallet)
    await access.log_in(session)
    made = await access.enrol("Bob's Pixel")
    if restarts:
        access = phone(town, wallet)
    await access.log_in(session)
    again = access._ready().phone
    assert access.status is Status.READY and again is not None and again.id == made.id


async def test_somebody_else_takes_over_the_phone(town: Town, alice: Client, bob: int) -> None:
    wallet = MemoryWallet()
    access = await enrolled(town, alice, bob, wallet)
    of_bob, mia = access._held(), (await alice.add_user(UserDraft("Mia"))).id
    await access.log_in(await alice.begin_app_session(mia))
    assert access.status is Status.NOT_ENROLLED
    assert await alice.list_phones(bob) == await alice.list_app_sessions(bob) == []
    await access.enrol("Mia's Pixel")
    of_mia = access._held()
    assert wallet.load() == of_mia
    assert len({of_bob.tap_key, of_bob.code_key, of_mia.tap_key, of_mia.code_key}) == 4


async def test_the_same_user_logs_in_again_and_their_phone_stays_one(town: Town, alice: Client, bob: int) -> None:
    access = await enrolled(town, alice, bob)
    await alice.change_user(bob, UserPatch(access=AccessPatch(device_lock=True)))
    await access.log_in(await alice.begin_app_session(bob))
    again = await access.enrol("Bob's Pixel")
    assert [each.id for each in await alice.list_phones(bob)] == [again.id]
    assert [each.phone_id for each in await alice.list_app_sessions(bob)] == [again.id]


async def ended(town: Town, alice: Client, bob: int, wallet: Wallet) -> Access:
    """A phone whose session Alice has ended, as it finds out."""
    access = await enrolled(town, alice, bob, wallet)
    [session] = await alice.list_app_sessions(bob)
    await alice.end_app_session(bob, session.id)
    access._session.forget()  # its access token is refused within a second; here it asks for a new one
    with pytest.raises(refusals.SessionOver):
        await access.refresh()
    return access


async def test_who_is_bound_to_their_phone_logs_in_again_when_the_session_is_over(
    town: Town, alice: Client, bob: int
) -> None:
    wallet = MemoryWallet()
    await alice.change_user(bob, UserPatch(access=AccessPatch(device_lock=True)))
    access = await ended(town, alice, bob, wallet)
    kept, [before] = wallet.load(), await alice.list_phones(bob)
    assert access.status is Status.SESSION_OVER
    assert kept is not None and kept == kept.only_keys(is_over=True)
    assert (kept.refresh_token, kept.session_key, kept.keyring, kept.began_with) == ("", b"", None, "")
    for asking in (access.code, access.doors):
        with pytest.raises(refusals.SessionOver):
            asking()
    again = phone(town, wallet)
    assert again.status is Status.SESSION_OVER
    await again.log_out()
    assert again.status is phone(town, wallet).status is Status.LOGGED_OUT
    await again.log_in(await alice.begin_app_session(bob))
    assert (await again.enrol("Bob's Pixel")).id == before.id


async def test_nobody_else_gets_the_keys_that_were_left(town: Town, alice: Client, bob: int) -> None:
    wallet = MemoryWallet()
    access = await ended(town, alice, bob, wallet)
    left, mia = wallet.load(), (await alice.add_user(UserDraft("Mia"))).id
    await access.log_in(await alice.begin_app_session(mia))
    held = access._held()
    assert left is not None and not {held.tap_key, held.code_key} & {left.tap_key, left.code_key}
    await access.enrol("Mia's Pixel")
    assert access.status is Status.READY


async def test_a_session_at_another_cloud_is_none_of_ours(town: Town, alice: Client, bob: int) -> None:
    wallet, line = MemoryWallet(), Recorder(town.line())
    await enrolled(town, alice, bob, wallet)
    kept = wallet.load()
    elsewhere = Access("http://elsewhere.test", wallet, transport=line)
    assert elsewhere.status is Status.LOGGED_OUT
    with pytest.raises(refusals.NotLoggedIn):
        await elsewhere.refresh()
    await elsewhere.log_out()
    with pytest.raises(refusals.CloudRefused, match="The DPoP proof is for another request") as refused:
        await elsewhere.log_in(await alice.begin_app_session(bob))
    assert refused.value.code == "invalid_dpop_proof"
    assert wallet.load() == kept
    assert not any(kept.refresh_token.encode() in each.request.content for each in line.passed)
    await phone(town, wallet).refresh()


async def test_what_comes_late_for_one_user_changes_nothing_of_the_next(town: Town, alice: Client, bob: int) -> None:
    wallet, line = MemoryWallet(), Line(town.line())
    access = await enrolled(town, alice, bob, wallet, line=line)
    mia, goes_on = (await alice.add_user(UserDraft("Mia"))).id, line.goes_on
    goes_on.clear()
    late = asyncio.create_task(access.refresh())
    await asyncio.sleep(0.2)
    line.goes_on = asyncio.Event()
    line.goes_on.set()
    await access.log_in(await alice.begin_app_session(mia))
    held = access._held()
    goes_on.set()
    with pytest.raises(refusals.NotLoggedIn):
        await late
    assert (access._held(), wallet.load(), access.status) == (held, held, Status.NOT_ENROLLED)
    assert held.keyring is not None and held.keyring.user_id == mia


async def test_a_call_that_a_log_out_overtakes_ends_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "LEAVE_SECONDS", 0.2)
    taken: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with Access(url, MemoryWallet(new_contents(url, "lwr_x", 0))) as access:
        asked = asyncio.create_task(access.refresh())
        while not taken:
            await asyncio.sleep(0.01)
        await access.log_out()
        server.close()
        for writer in taken:
            writer.close()
        with pytest.raises(refusals.Offline):
            await asked
    assert access.status is Status.LOGGED_OUT


async def test_a_log_out_forgets_at_once_and_gives_the_cloud_a_few_seconds(
    town: Town, alice: Client, bob: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "LEAVE_SECONDS", 0.5)
    path, line = tmp_path / "phone.json", Line(town.line())
    access = await enrolled(town, alice, bob, FileWallet(path), line=line)
    access._session.forget()
    line.takes = 5
    late = asyncio.create_task(access.refresh())  # it is alone with the file
    await asyncio.sleep(0.1)
    leaving = asyncio.create_task(access.log_out())
    await asyncio.sleep(0.1)
    assert access.status is Status.LOGGED_OUT and not path.exists()
    await asyncio.wait_for(leaving, 4)
    with pytest.raises(refusals.NotLoggedIn):
        await late
    assert not path.exists()


async def test_a_log_out_removes_the_phone_whatever_other_programs_did_with_its_file(
    town: Town, alice: Client, bob: int, tmp_path: Path
) -> None:
    path = tmp_path / "phone.json"
    access = await enrolled(town, alice, bob, FileWallet(path))
    other = phone(town, FileWallet(path))
    await renewed(other)
    await access.log_out()
    assert await alice.list_phones(bob) == await alice.list_app_sessions(bob) == []


async def test_what_a_phone_keeps_is_in_no_text_of_it(town: Town, alice: Client, bob: int) -> None:
    access = await enrolled(town, alice, bob)
    held = access._held()
    assert held.refresh_token not in repr(held) and repr(held.tap_key) not in repr(held)


async def test_a_phone_comes_back_after_a_restart(town: Town, alice: Client, bob: int, tmp_path: Path) -> None:
    path = tmp_path / "phone.json"
    before = await enrolled(town, alice, bob, FileWallet(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    after = phone(town, FileWallet(path))
    assert (after.status, after.doors()) == (Status.READY, before.doors())
    await after.refresh()
    await after.log_out()
    assert not path.exists()


def test_a_wallet_that_cannot_be_read_says_so(town: Town, tmp_path: Path) -> None:
    path = tmp_path / "phone.json"
    path.write_text('{"url": 1}')
    with pytest.raises(refusals.WalletUnreadable, match="remove it"):
        phone(town, FileWallet(path))


async def test_a_wallet_that_was_damaged_since_is_left_and_entered_anew(
    town: Town, alice: Client, bob: int, tmp_path: Path
) -> None:
    path = tmp_path / "phone.json"
    access = await enrolled(town, alice, bob, FileWallet(path))
    path.write_text("{")
    await access.log_out()
    assert not path.exists() and await alice.list_phones(bob) == []
    path.write_text("{")
    await access.log_in(await alice.begin_app_session(bob))
    assert phone(town, FileWallet(path)).status is Status.NOT_ENROLLED


async def test_a_log_in_whose_keyring_did_not_come_leaves_the_one_before(town: Town, alice: Client, bob: int) -> None:
    line, wallet = Line(town.line()), MemoryWallet()
    access = await enrolled(town, alice, bob, wallet, line=line)
    kept, mia = wallet.load(), (await alice.add_user(UserDraft("Mia"))).id
    session, line.cut = await alice.begin_app_session(mia), "/v1/account/keyring"
    with pytest.raises(refusals.Offline):
        await access.log_in(session)
    assert (wallet.load(), access.status) == (kept, Status.READY)
    line.cut = ""
    await access.log_in(session)
    assert access.status is Status.NOT_ENROLLED
    assert await alice.list_phones(bob) == await alice.list_app_sessions(bob) == []


async def test_two_log_ins_with_one_text_are_one(town: Town, alice: Client, bob: int) -> None:
    access, session = phone(town), await alice.begin_app_session(bob)
    await asyncio.gather(access.log_in(session), access.log_in(session))
    await access.refresh()
    assert len(await alice.list_app_sessions(bob)) == 1


async def test_a_phone_whose_enrolment_was_never_answered_goes_with_the_log_out(
    town: Town, alice: Client, bob: int
) -> None:
    line = Line(town.line())
    access = phone(town, line=line)
    await access.log_in(await alice.begin_app_session(bob))
    line.cut = "/v1/account/phones"
    with pytest.raises(refusals.Offline):
        await access.enrol("Bob's Pixel")
    assert len(await alice.list_phones(bob)) == 1
    line.cut = ""
    await access.log_out()
    assert await alice.list_phones(bob) == []


@pytest.mark.parametrize("session", ["", None])
async def test_a_log_in_needs_a_session(town: Town, session: str) -> None:
    with pytest.raises(refusals.CloudRefused, match="your own backend") as refused:
        await phone(town).log_in(session)
    assert refused.value.code == "invalid"


async def test_what_the_cloud_finds_wrong_with_a_field_is_told(town: Town, alice: Client, bob: int) -> None:
    access = phone(town)
    await access.log_in(await alice.begin_app_session(bob))
    with pytest.raises(refusals.CloudRefused, match="name: "):
        await access.enrol("")


async def test_an_unlock_that_may_have_happened_is_told_from_one_that_was_not_asked(
    town: Town, alice: Client, bob: int
) -> None:
    line = Line(town.line())
    access = await enrolled(town, alice, bob, line=line)
    line.cut = "/v1/account/doors"
    with pytest.raises(refusals.ConnectionLost):
        await access.unlock(1)
    line.is_up = False
    with pytest.raises(refusals.Offline):
        await access.unlock(1)
    access._live().forget()
    line.is_up, line.cut = True, "/oauth2/token"
    with pytest.raises(refusals.Offline):
        await access.unlock(1)


async def test_doors_and_codes_need_no_network(town: Town, alice: Client, bob: int) -> None:
    line = Line(town.line())
    access = await enrolled(town, alice, bob, line=line)
    line.is_up = False
    assert access.doors() and access.code()
    with pytest.raises(refusals.Offline):
        await access.refresh()
    assert access.status is Status.READY
    await access.log_out()
    assert access.status is Status.LOGGED_OUT


async def test_a_lost_answer_does_not_end_the_session(town: Town, alice: Client, bob: int) -> None:
    line, wallet = Line(town.line()), MemoryWallet()
    await enrolled(town, alice, bob, wallet, line=line)
    line.loses = 1
    await phone(town, wallet, line).refresh()  # its first call is for a token, whose answer is lost
    await phone(town, wallet, line).refresh()


class FullWallet(MemoryWallet):
    """Nothing more can be kept while it is full."""

    is_full = False

    def save(self, contents: Contents) -> None:
        if self.is_full:
            raise refusals.WalletUnwritable
        super().save(contents)


async def test_a_wallet_that_was_full_for_a_while_does_not_end_the_session(town: Town, alice: Client, bob: int) -> None:
    wallet = FullWallet()
    access = await enrolled(town, alice, bob, wallet)
    wallet.is_full = True
    for _ in range(3):
        access._session.forget()
        with pytest.raises(refusals.WalletUnwritable):
            await access.refresh()
    wallet.is_full = False
    await phone(town, wallet).refresh()
    await access.refresh()


@contextmanager
def full() -> Iterator[None]:
    """The disk takes no more than a few bytes of any file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_file_that_cannot_be_written_says_what_to_do_and_keeps_what_it_has(
    town: Town, alice: Client, bob: int, tmp_path: Path
) -> None:
    path = tmp_path / "there" / "phone.json"
    path.parent.mkdir()
    access = await enrolled(town, alice, bob, FileWallet(path))
    before = path.read_bytes()
    for _ in range(3):
        access._session.forget()
        with full(), pytest.raises(refusals.WalletUnwritable, match=f"{path} cannot be written .* please free"):
            await access.refresh()
        assert path.read_bytes() == before
        assert {each.name for each in path.parent.iterdir()} == {"phone.json", ".phone.json.lock"}, "no draft is left"
    assert access.status is Status.READY and access.code()
    await phone(town, FileWallet(path)).refresh()
    await access.refresh()


async def test_a_log_in_that_could_not_be_kept_is_tried_again(
    town: Town, alice: Client, bob: int, tmp_path: Path
) -> None:
    path = tmp_path / "there" / "phone.json"
    access, session = phone(town, FileWallet(path)), await alice.begin_app_session(bob)
    with pytest.raises(refusals.WalletUnwritable, match="No such file"):
        await access.log_in(session)
    path.parent.mkdir()
    await access.log_in(session)
    assert phone(town, FileWallet(path)).status is Status.NOT_ENROLLED


async def test_programs_with_the_same_file_share_its_session(
    town: Town, alice: Client, bob: int, tmp_path: Path
) -> None:
    path = tmp_path / "phone.json"
    first = await enrolled(town, alice, bob, FileWallet(path))
    every = [first, *(phone(town, FileWallet(path)) for _ in range(2))]

    async def use(access: Access) -> None:
        for _ in range(4):
            access._session.forget()
            await access.refresh()

    await asyncio.gather(*map(use, every))
    for access in (*every, *reversed(every), phone(town, FileWallet(path))):
        await use(access)


async def test_a_token_under_way_is_not_overtaken_by_another_program(
    town: Town, alice: Client, bob: int, tmp_path: Path
) -> None:
    path, line = tmp_path / "phone.json", Line(town.line())
    await enrolled(town, alice, bob, FileWallet(path))
    slow, quick = phone(town, FileWallet(path), line), phone(town, FileWallet(path))
    line.takes = 0.3
    asked = asyncio.create_task(slow.refresh())
    await asyncio.sleep(0.1)
    await renewed(quick)
    await asked
    await phone(town, FileWallet(path)).refresh()


async def test_what_one_program_keeps_does_not_undo_what_another_has_kept(
    town: Town, alice: Client, bob: int, tmp_path: Path
) -> None:
    """A keyring is kept together with the token that is good now, not with the one that this program knows."""
    path = tmp_path / "phone.json"
    first = await enrolled(town, alice, bob, FileWallet(path))
    other = phone(town, FileWallet(path))
    await renewed(other)
    await first.refresh()  # its access token is good still
    await phone(town, FileWallet(path)).refresh()


async def test_whoever_logs_out_does_so_for_every_program_and_for_no_later_session(
    town: Town, alice: Client, bob: int, tmp_path: Path
) -> None:
    path = tmp_path / "phone.json"
    first = await enrolled(town, alice, bob, FileWallet(path))
    others = [phone(town, FileWallet(path)) for _ in range(3)]
    await first.log_out()
    with pytest.raises(refusals.NotLoggedIn):
        await others[0].refresh()
    assert others[0].status is Status.LOGGED_OUT
    await first.log_in(await alice.begin_app_session(bob))
    with pytest.raises(refusals.NotLoggedIn):
        await others[1].refresh()
    await others[2].log_out()
    await first.refresh()
    assert phone(town, FileWallet(path)).status is Status.NOT_ENROLLED


DIES = """
import pathlib, resource, signal, sys
from latchwork.sdk.wallet import FileWallet

signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
wallet = FileWallet(pathlib.Path(sys.argv[1]))
wallet.save(wallet.load())
"""


async def test_a_program_that_dies_while_it_writes_loses_nothing_and_leaves_no_key_behind(
    town: Town, alice: Client, bob: int, tmp_path: Path
) -> None:
    path = tmp_path / "there" / "phone.json"
    path.parent.mkdir()
    access = await enrolled(town, alice, bob, FileWallet(path))
    before = path.read_bytes()

    async def die() -> set[str]:
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", DIES, str(path))
        assert await child.wait() == -signal.SIGXFSZ
        return {each.name for each in path.parent.iterdir()}

    lock = ".phone.json.lock"
    assert await die() > {"phone.json", lock}
    assert path.read_bytes() == before
    await access.refresh()
    assert {each.name for each in path.parent.iterdir()} == {"phone.json", lock}
    await die()
    await access.log_out()
    assert {each.name for each in path.parent.iterdir()} == {lock}


HOLDER = """
import asyncio, pathlib, sys
from latchwork.sdk.wallet import FileWallet

async def hold():
    async with FileWallet(pathlib.Path(sys.argv[1])).alone():
        print("alone", flush=True)
        await asyncio.sleep(60)

asyncio.run(hold())
"""


async def test_a_program_waits_for_another_one_until_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "phone.json"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"alone\n"
    monkeypatch.setattr(wallet_module, "BUSY_SECONDS", 0.2)
    with pytest.raises(refusals.WalletUnwritable, match="in use by another program; please end that one"):
        async with FileWallet(path).alone():
            raise AssertionError("nobody is alone with it")
    child.kill()
    await child.wait()
    async with FileWallet(path).alone():
        pass


async def test_a_proxy_that_refuses_everything_ends_no_session(town: Town, alice: Client, bob: int) -> None:
    line = Line(town.line())
    access = await enrolled(town, alice, bob, line=line)
    line.refuses = True
    with pytest.raises(refusals.CloudRefused, match="check the network and the cloud's address") as refused:
        await access.refresh()
    assert refused.value.code == "unexpected"
    assert access.status is Status.READY and access.code()
    line.refuses = False
    await access.refresh()


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_proxy_whose_cloud_is_away_is_no_connection(town: Town, alice: Client, bob: int, status: int) -> None:
    line = Line(town.line())
    access = await enrolled(town, alice, bob, line=line)
    line.refuses, line.says = True, httpx2.Response(status, text="Bad gateway")
    with pytest.raises(refusals.Offline):
        await access.refresh()
    assert access.status is Status.READY and access.code()


@pytest.mark.parametrize("path", ["/oauth2/token", "/v1/account/keyring"])
@pytest.mark.parametrize("status", [200, 404, 500])
async def test_whatever_answers_instead_of_the_cloud_is_told_in_words(
    town: Town, alice: Client, bob: int, path: str, status: int
) -> None:
    class Stranger(Line):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            if self.refuses and request.url.path == path:
                return httpx2.Response(status, html="<h1>Welcome to this network</h1>")
            return await super().handle_async_request(request)

    line = Stranger(town.line())
    access = await enrolled(town, alice, bob, line=line)
    line.refuses = True
    for asking in (access.refresh(), access.log_in(await alice.begin_app_session(bob))):
        access._live().forget()
        with pytest.raises(refusals.CloudRefused) as refused:
            await asking
        assert refused.value.code == "unexpected"


async def test_what_the_cloud_refuses_keeps_its_code_and_sentence(town: Town, alice: Client, bob: int) -> None:
    access = await enrolled(town, alice, bob)
    await alice.change_user(bob, UserPatch(access=AccessPatch(device_lock=True)))
    with pytest.raises(refusals.PhoneLocked, match="ask an administrator"):
        await access.remove(access._ready().phone.id)
    with pytest.raises(refusals.CloudRefused, match="such phone") as refused:
        await access.remove(99)
    assert refused.value.code == "not_found"


async def test_a_listener_that_fails_stops_nothing(town: Town, alice: Client, bob: int) -> None:
    access, told = phone(town), list[Status]()

    def fail(_: Status) -> None:
        raise RuntimeError("the page is gone")

    access.on_status(fail)
    access.on_status(told.append)
    await access.log_in(await alice.begin_app_session(bob))
    await access.log_out()
    assert told == [Status.NOT_ENROLLED, Status.LOGGED_OUT]
    assert await alice.list_app_sessions(bob) == []


async def test_who_is_bound_to_their_phone_logs_out_of_it_all_the_same(town: Town, alice: Client, bob: int) -> None:
    wallet = MemoryWallet()
    access = await enrolled(town, alice, bob, wallet)
    await alice.change_user(bob, UserPatch(access=AccessPatch(device_lock=True)))
    left, [before] = access._held(), await alice.list_phones(bob)
    await access.log_out()
    assert access.status is Status.LOGGED_OUT
    assert await alice.list_app_sessions(bob) == []
    assert wallet.load() == left.only_keys()
    await access.log_in(await alice.begin_app_session(bob))
    assert (await access.enrol("Bob's Pixel")).id == before.id
    await alice.change_user(bob, UserPatch(access=AccessPatch(device_lock=False)))
    await access.log_out()
    assert wallet.load() is None


@pytest.mark.parametrize("ahead", [-86_400, 3_600])
async def test_a_phone_whose_clock_is_wrong_makes_good_codes(town: Town, alice: Client, bob: int, ahead: float) -> None:
    access = await enrolled(town, alice, bob, clock=Clock(ahead))
    assert abs(read(access).issued_at - time.time()) < 5


async def test_a_code_is_the_same_for_half_a_minute(town: Town, alice: Client, bob: int) -> None:
    clock = Clock()
    access = await enrolled(town, alice, bob, clock=clock)
    first, said = access.code(), read(access)
    assert access.code() == first and first.next_at - first.made_at == CODE_SECONDS
    clock.ahead += CODE_SECONDS + 1
    assert access.code().text != first.text
    assert read(access).pass_id != said.pass_id
    clock.ahead -= 3 * CODE_SECONDS  # the phone's clock was set back
    assert access.code().made_at < first.made_at


@pytest.mark.parametrize("ahead", [-3_600, 3_600])
async def test_a_clock_that_was_corrected_makes_a_good_code_at_once(
    town: Town, alice: Client, bob: int, ahead: float
) -> None:
    clock = Clock(ahead)
    access = await enrolled(town, alice, bob, clock=clock)
    read(access)
    clock.ahead = 10
    await access.refresh()  # its access token is good still
    assert abs(read(access).issued_at - time.time()) < 5
    clock.ahead = 0
    shown = access.code()
    await access.refresh()
    assert access.code() != shown and abs(read(access).issued_at - time.time()) < 5


@pytest.mark.parametrize(
    ("known", "told", "ahead"),
    [(0, 1000, 0), (0, 1020, 0), (-20, 1000, -20), (0, 1025, 15), (3600, 1010, 0), (0, 990, -20)],
)
def test_a_slow_answer_changes_no_clock_that_may_be_right(known: float, told: float, ahead: float) -> None:
    assert clock_offset(known, told, 1000, 1020) == ahead


async def test_a_fresh_code_is_made_for_the_next_door(town: Town, alice: Client, bob: int) -> None:
    access = await enrolled(town, alice, bob)
    first = read(access)
    fresh = access.code(fresh=True)
    assert read(access).pass_id != first.pass_id
    assert access.code() == fresh


def read(access: Access) -> VerifiedPhoneCode:
    """What a door that knows this phone reads in its code."""
    contents = access._held()
    public = p256.load_private(contents.code_key).public_key()
    kid = p256.kid(p256.public_bytes(public))
    said = pass_.verify(access.code().text, {kid: pass_.PassKey(kid, "phone", public)}.get)
    assert isinstance(said, VerifiedPhoneCode)
    return said


async def test_a_lost_phone_is_replaced_and_shut_out(town: Town, alice: Client, bob: int) -> None:
    lost, other = await enrolled(town, alice, bob), await enrolled(town, alice, bob)
    new = phone(town)
    await new.log_in(await alice.begin_app_session(bob))
    with pytest.raises(refusals.PhoneLimitReached):
        await new.enrol("Bob's new Pixel")
    phones = {each.id for each in await new.phones()}
    mine = lost._ready().phone
    assert mine is not None
    replaced = await new.enrol("Bob's new Pixel", replaces=mine.id)
    assert {each.id for each in await new.phones()} == phones - {mine.id} | {replaced.id}
    lost._session.forget()  # its access token is refused within a second; here it asks for a new one
    with pytest.raises(refusals.SessionOver):
        await lost.refresh()
    assert lost.status is Status.SESSION_OVER
    with pytest.raises(refusals.SessionOver):
        lost.code()
    await other.refresh()


async def test_opening_from_afar_tells_what_the_door_says(town: Town, alice: Client, bob: int) -> None:
    access = await enrolled(town, alice, bob)
    with pytest.raises(refusals.DoorOffline):  # it has no controller
        await access.unlock(access.doors()[0].access_point_id)
    assert await access.history() == []


def test_every_refusal_of_a_door_has_a_class_and_its_own_sentence() -> None:
    for reason in Reason:
        error = refusals.refused(reason.value)
        assert (str(error), error.reason) == (reason.sentence, reason)
    assert isinstance(refusals.refused(Reason.LOCKDOWN), refusals.Lockdown)
    assert isinstance(refusals.refused(Reason.TOO_FAR), refusals.TooFar)
    assert isinstance(refusals.refused(Reason.NO_PERMISSION), refusals.NotPermitted)
    assert str(refusals.refused("of a newer door")) == refusals.NotPermitted.sentence
    assert all(refusals.failed(failure) for failure in TapFailure)
