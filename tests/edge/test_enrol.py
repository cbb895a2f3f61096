"""Promises of enrolment, against a real HTTP server (a test's own: the cloud's is tested with the cloud)."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest
from tests.edge.certificate import make_certificate

from latchwork.edge import config
from latchwork.edge.enrol import EnrolmentFailed, ShownCode, enrol, own_key, split_code
from latchwork.wire import p256
from latchwork.wire.api.enrolment import Enrolled, Enrolment, proof_bytes

CODE = "12-AB34CD56EF78GH90"
ENROLLED = Enrolled(organisation_id=3, controller_id=12, name='Dora "the" controller\n', cloud_id="0a" * 16)


class Cloud:
    """Answers every request in the way a test wants."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Enrolment]] = []
        self.answer: tuple[int, bytes] = (200, msgspec.json.encode(ENROLLED))
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                cloud.requests.append((self.path, msgspec.json.decode(body, type=Enrolment)))
                status, content = cloud.answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def use_tls(self, certificate: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")

    def start(self) -> None:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    made = Cloud()
    made.start()
    yield made
    made.server.shutdown()


def test_a_controller_shows_that_it_holds_its_key_and_learns_who_it_is(cloud: Cloud, tmp_path: Path) -> None:
    made = enrol(f"  {CODE}\n", cloud.url, tmp_path / "edge.toml", tmp_path / "data")
    [(path, asked)] = cloud.requests
    assert path == "/v1/enrol"
    public = p256.from_b64url(asked.public_key)
    assert asked.code == CODE
    assert p256.verify(p256.load_public(public), p256.from_b64url(asked.proof), proof_bytes(CODE, public))
    assert config.load(tmp_path / "edge.toml") == made
    assert (made.organisation, made.controller, made.cloud_id, made.name) == (3, 12, "0a" * 16, ENROLLED.name)
    assert p256.public_bytes(own_key(made.key).public_key()) == public


def test_enrolling_again_keeps_the_adapters(cloud: Cloud, tmp_path: Path) -> None:
    enrol(CODE, cloud.url, tmp_path / "edge.toml", tmp_path / "data")
    with (tmp_path / "edge.toml").open("a") as file:
        file.write('\n[[bluetooth]]\ntransport = "hci-socket:0"\ndoor = 7\n')
    again = enrol(CODE, cloud.url, tmp_path / "edge.toml", tmp_path / "data")
    assert [reader.door for reader in again.bluetooth] == [7]
    assert config.load(tmp_path / "edge.toml") == again


def test_only_the_owner_can_read_key_and_configuration(cloud: Cloud, tmp_path: Path) -> None:
    enrol(CODE, cloud.url, tmp_path / "edge.toml", tmp_path / "data")
    assert (tmp_path / "edge.toml").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data/controller.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["controller.key"]


def test_repeating_it_after_a_lost_answer_uses_the_same_key(cloud: Cloud, tmp_path: Path) -> None:
    cloud.answer = (200, b"")
    with pytest.raises(EnrolmentFailed):
        enrol(CODE, cloud.url, tmp_path / "edge.toml", tmp_path)
    assert not (tmp_path / "edge.toml").exists()
    cloud.answer = (200, msgspec.json.encode(ENROLLED))
    enrol(CODE, cloud.url, tmp_path / "edge.toml", tmp_path)
    assert len({asked.public_key for _, asked in cloud.requests}) == 1


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((410, b'{"detail":"This code has expired."}'), "This code has expired."),
        ((429, b'{"title":"Too many\\u001b[2J","status":429}'), "Too many[2J"),
        ((500, b"<html>"), r"HTTP 500"),
        ((302, b""), r"HTTP 302"),
        ((200, b"<html>"), "not a Latchwork cloud"),
        ((200, b"\xff\xfe"), "not a Latchwork cloud"),
        ((200, b'{"organisationId":3,"controllerId":13,"name":"x","cloudId":"' + b"0a" * 16 + b'"}'), "does not fit"),
        ((200, b'{"organisationId":3,"controllerId":12,"name":"x","cloudId":"../.."}'), "does not fit"),
        ((200, b"[" * 60_000), "not a Latchwork cloud"),
    ],
)
def test_what_goes_wrong_is_said_in_a_sentence(
    cloud: Cloud, tmp_path: Path, answer: tuple[int, bytes], sentence: str
) -> None:
    cloud.answer = answer
    with pytest.raises(EnrolmentFailed) as failed:
        enrol(CODE, cloud.url, tmp_path / "edge.toml", tmp_path)
    assert sentence in str(failed.value)
    assert str(failed.value).isprintable()
    assert not (tmp_path / "edge.toml").exists()


@pytest.mark.parametrize(
    "shown", ["", "12", "AB34CD56EF78GH90", "12-SHORT", CODE + "-abc", CODE + "\n" + CODE, "１２-AB34CD56EF78GH90"]
)
def test_what_is_no_code_is_never_sent(cloud: Cloud, tmp_path: Path, shown: str) -> None:
    with pytest.raises(EnrolmentFailed):
        enrol(shown, cloud.url, tmp_path / "edge.toml", tmp_path)
    assert cloud.requests == []


def test_the_parts_of_a_shown_code() -> None:
    assert split_code(CODE) == ShownCode(CODE, "")
    assert split_code(f"{CODE}-{'AB' * 32}") == ShownCode(CODE, "ab" * 32)


@pytest.mark.parametrize(
    "url", ["http://example.org", "ftp://127.0.0.1", "example.org", "https://", "http://[::1", "http://127.0.0.1:x"]
)
def test_a_code_is_never_sent_in_the_clear_or_to_no_cloud(tmp_path: Path, url: str) -> None:
    with pytest.raises(EnrolmentFailed):
        enrol(CODE, url, tmp_path / "edge.toml", tmp_path)


def test_a_cloud_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(EnrolmentFailed, match="did not work"):
        enrol(CODE, "http://127.0.0.1:9", tmp_path / "edge.toml", tmp_path)


def test_over_tls_only_the_pinned_key_gets_the_code(tmp_path: Path) -> None:
    certificate, fingerprint = make_certificate(tmp_path)
    cloud = Cloud()
    cloud.use_tls(certificate)
    cloud.start()
    for wrong in ("", "-" + "ab" * 32):
        with pytest.raises(EnrolmentFailed):
            enrol(CODE + wrong, cloud.url, tmp_path / "edge.toml", tmp_path / "data")
    assert cloud.requests == []
    made = enrol(f"{CODE}-{fingerprint}", cloud.url, tmp_path / "edge.toml", tmp_path / "data")
    assert made.fingerprint == fingerprint
    cloud.server.shutdown()


def test_a_key_file_that_holds_no_key_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "controller.key"
    for content in ("", "zz", "00" * 32, "ff" * 32):
        file.write_text(content)
        with pytest.raises(EnrolmentFailed):
            own_key(file)
        assert file.read_text() == content


def _changed(change: Callable[[str], str], tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    config.save(path, config.Config("http://127.0.0.1:1", 1, 2, "n", "0a" * 16, "", tmp_path))
    path.write_text(change(path.read_text()))
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text.replace("organisation = 1", 'organisation = "one"'),
        lambda text: text.replace("0a0a", "xyz"),
        lambda text: text.replace("http://127.0.0.1:1", "http://example.org"),
        lambda text: text.replace('fingerprint = ""', 'fingerprint = "abcd"'),
        lambda text: text + "[",
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(change: Callable[[str], str], tmp_path: Path) -> None:
    with pytest.raises(config.ConfigInvalid):
        config.load(_changed(change, tmp_path))


def test_a_configuration_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigInvalid):
        config.load(tmp_path / "edge.toml")


def test_another_enrolment_in_the_same_folder_has_state_and_journal_of_its_own(tmp_path: Path) -> None:
    one = config.Config("http://127.0.0.1:1", 1, 2, "n", "0a" * 16, "", tmp_path)
    other = config.Config("http://127.0.0.1:1", 1, 3, "n", "0a" * 16, "", tmp_path)
    assert one.folder != other.folder
    assert one.key == other.key
