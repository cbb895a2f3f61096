"""Promises of reading codes from pictures."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
import segno
from PIL import Image
from tests.edge.cast import Organisation

from latchwork.sim import scan


def draw(path: Path, text: str) -> Path:
    segno.make(text, error="m").save(str(path), scale=5, border=4)
    return path


def test_a_pass_is_read_from_a_picture(tmp_path: Path) -> None:
    text = Organisation().invite()
    assert scan.read_code(draw(tmp_path / "pass.png", text)) == text


def test_rotated_and_as_a_photo(tmp_path: Path) -> None:
    text = Organisation().invite()
    with Image.open(draw(tmp_path / "pass.png", text)) as picture:
        picture.convert("RGB").rotate(17, expand=True, fillcolor="white").save(tmp_path / "pass.jpg", quality=60)
    assert scan.read_code(tmp_path / "pass.jpg") == text


def test_a_picture_without_a_code(tmp_path: Path) -> None:
    Image.new("L", (200, 200), 255).save(tmp_path / "white.png")
    assert scan.read_codes(tmp_path / "white.png") == []
    with pytest.raises(scan.NoCode):
        scan.read_code(tmp_path / "white.png")


def beside(tmp_path: Path, left: str, right: str) -> Path:
    with Image.open(draw(tmp_path / "a.png", left)) as a, Image.open(draw(tmp_path / "b.png", right)) as b:
        both = Image.new("L", (a.width + b.width, max(a.height, b.height)), 255)
        both.paste(a.convert("L"), (0, 0))
        both.paste(b.convert("L"), (a.width, 0))
    both.save(tmp_path / "both.png")
    return tmp_path / "both.png"


def test_two_different_codes_are_not_guessed_between(tmp_path: Path) -> None:
    with pytest.raises(scan.SeveralCodes):
        scan.read_code(beside(tmp_path, "one code here", "another code"))


def test_the_same_code_twice_is_one_code(tmp_path: Path) -> None:
    assert scan.read_code(beside(tmp_path, "the same", "the same")) == "the same"


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"GIF89a" + b"\xff" * 40])
def test_what_is_no_picture_is_said_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(scan.NotAPicture):
        scan.read_code(tmp_path / "x.png")


def test_a_cut_picture_or_none_is_said_so(tmp_path: Path) -> None:
    path = draw(tmp_path / "pass.png", "text")
    path.write_bytes(path.read_bytes()[:-150])
    with pytest.raises(scan.NotAPicture):
        scan.read_code(path)
    with pytest.raises(scan.NotAPicture, match="no file"):
        scan.read_code(tmp_path / "missing.png")
    with pytest.raises(scan.NotAPicture):
        scan.read_code(tmp_path)


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (8_000, 8_000)])
def test_a_bomb_is_not_unpacked(tmp_path: Path, width: int, height: int) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    bomb = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    bomb.seek(0, io.SEEK_END)
    bomb.write(chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)))
    bomb.write(chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))
    (tmp_path / "bomb.png").write_bytes(bomb.getvalue())
    with pytest.raises(scan.PictureTooLarge):
        scan.read_code(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "https://127.0.0.1:9", "nonsense", "http://127.0.0.1:x", "http://[::1"]
)
def test_doors_that_do_not_answer_are_said_so(url: str) -> None:
    with pytest.raises(scan.DoorsUnreachable):
        scan.present(url, "1", "text")
