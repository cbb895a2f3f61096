"""From a picture to a door: reads the QR in an image and presents it at a door of the virtual building."""

from __future__ import annotations

import http.client
import warnings
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import zxingcpp
from PIL import Image

MOST_PIXELS: Final = 50_000_000
"""What a good phone camera makes; a larger picture would only cost memory."""

Answer = TypeVar("Answer")

_TIMEOUT: Final = 15.0
_LONGEST_ANSWER: Final = 4 * 1024 * 1024


class Unscannable(Exception):
    """The picture did not give one code; the text says why, for people."""


class NotAPicture(Unscannable):
    pass


class PictureTooLarge(Unscannable):
    pass


class NoCode(Unscannable):
    pass


class SeveralCodes(Unscannable):
    pass


class DoorsUnreachable(Exception):
    """The virtual doors did not answer, or not with a decision; the text says why, for people."""


class NoSuchDoor(DoorsUnreachable):
    pass


class NoPhone(Exception):
    """A file holds no phone that could open anything; the text says why, for people."""


class Told(msgspec.Struct):
    """The reader's answer; `at` is the controller's view of time, seconds since the epoch."""

    granted: bool
    reason: str
    sentence: str
    at: float


class _Door(msgspec.Struct):
    id: int
    name: str


class _Radio(msgspec.Struct):
    hci: str


class _Problem(msgspec.Struct):
    detail: str


def read_code(path: Path) -> str:
    """The text of the one QR code in a picture; raises an `Unscannable`."""
    codes = read_codes(path)
    if not codes:
        raise NoCode(f"there is no readable QR code in {path.name}")
    if len(codes) > 1:
        raise SeveralCodes(f"there are {len(codes)} different QR codes in {path.name}; show one")
    return codes[0]


def read_codes(path: Path) -> list[str]:
    """The different texts of the QR codes in a picture, possibly none; raises `NotAPicture` or `PictureTooLarge`."""
    found = zxingcpp.read_barcodes(
        _picture(path),
        formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode),
        text_mode=zxingcpp.TextMode.Plain,
    )
    return list(dict.fromkeys(code.text for code in found))


def present(doors_url: str, door: str, qr: str) -> Told:
    """Shows a QR's text at the entry of a door given by its id or name; raises `DoorsUnreachable` or `NoSuchDoor`."""
    return _ask(doors_url, "POST", f"/doors/{find_door(doors_url, door)}/present", Told, {"qr": qr})


def tap(doors_url: str, door: str, card: int, pin: str | None = None) -> Told:
    """Shows a card at the entry of a door given by its id or name; raises `DoorsUnreachable` or `NoSuchDoor`."""
    shown = {"card": card} if pin is None else {"card": card, "pin": pin}
    return _ask(doors_url, "POST", f"/doors/{find_door(doors_url, door)}/present", Told, shown)


def radio(doors_url: str) -> str:
    """Where phones attach to the building's virtual radio, as bumble names transports; raises `DoorsUnreachable`."""
    return _ask(doors_url, "GET", "/radio", _Radio).hci


def find_door(doors_url: str, door: str) -> int:
    """The id of the door with this id or this name (letter case aside); raises `DoorsUnreachable` or `NoSuchDoor`."""
    doors = _ask(doors_url, "GET", "/doors", list[_Door])
    by_id = [each.id for each in doors if str(each.id) == door]
    by_name = [each.id for each in doors if each.name.casefold() == door.casefold()]
    matches = by_id or by_name
    if len(matches) != 1:
        names = ", ".join(f"{each.id} {each.name}" for each in doors) or "none"
        raise NoSuchDoor(f"{'several doors are' if matches else 'no door is'} called {door!r}; there are: {names}")
    return matches[0]


def _picture(path: Path) -> Image.Image:
    """The picture in shades of grey. Its size is read and judged before its pixels are."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise PictureTooLarge(
                        f"{path.name} has {picture.width} × {picture.height} pixels, which is too many"
                    )
                return picture.convert("L")
    except Image.DecompressionBombError as error:
        raise PictureTooLarge(f"{path.name} has too many pixels") from error
    except FileNotFoundError as error:
        raise NotAPicture(f"there is no file {path}") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise NotAPicture(f"{path.name} is not a picture that can be read") from error


def _ask(doors_url: str, method: str, path: str, wanted: type[Answer], body: object = None) -> Answer:
    try:
        status, content = _exchange(doors_url, method, path, body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DoorsUnreachable(f"the doors at {doors_url} do not answer: {error or type(error).__name__}") from error
    try:
        if status == http.HTTPStatus.OK:
            return msgspec.json.decode(content, type=wanted)
        problem = msgspec.json.decode(content, type=_Problem).detail
    except (msgspec.MsgspecError, UnicodeDecodeError):
        problem = f"what answered (HTTP {status}) is not the virtual doors"
    raise DoorsUnreachable(problem)


def _exchange(doors_url: str, method: str, path: str, body: object) -> tuple[int, bytes]:
    parts = urlsplit(doors_url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("the doors' address looks like http://127.0.0.1:8082")
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT)
    try:
        content = None if body is None else msgspec.json.encode(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read(_LONGEST_ANSWER)
    finally:
        connection.close()
