"""A phone of the virtual building: the Access SDK with its keys in a file, on the building's virtual radio."""

from __future__ import annotations

import time
from pathlib import Path

from latchwork.policy.reasons import Reason
from latchwork.sdk.access import Access
from latchwork.sdk.bluetooth import BumbleRadio
from latchwork.sdk.refusals import AccessError, TooFar, WalletUnreadable
from latchwork.sdk.wallet import FileWallet
from latchwork.sim.scan import NoPhone, Told, find_door, radio


async def tap(doors_url: str, door: str, path: Path) -> Told:
    """Holds the phone in a file to the reader of a door given by its id or name.

    Raises NoPhone, `DoorsUnreachable` or `NoSuchDoor`.
    """
    access_point, hci = find_door(doors_url, door), radio(doors_url)
    try:
        contents = FileWallet(path).load()
    except WalletUnreadable as error:
        raise NoPhone(str(error)) from None
    if contents is None:
        raise NoPhone(f"there is no phone in {path}; make one with: latchwork phone enrol")
    air = BumbleRadio(hci)
    try:
        async with Access(contents.url, FileWallet(path), air) as access:
            opened = await access.tap(access_point)
    except AccessError as error:
        if error.reason is None and not isinstance(error, TooFar):  # no door decided
            raise NoPhone(str(error)) from None
        return Told(False, error.reason or error.code, str(error), time.time())
    finally:
        await air.close()
    return Told(True, Reason.GRANTED.value, opened.sentence, time.time())
