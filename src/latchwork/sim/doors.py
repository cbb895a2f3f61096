"""Virtual doors: a strike that is a boolean and a leaf that anybody may push."""

from __future__ import annotations

from collections.abc import Callable

from latchwork.edge.door import Input


class VirtualDoor:
    """The wiring of one door of the virtual building (`edge.drivers.door.DoorDriver`)."""

    def __init__(self) -> None:
        self.strike_is_on = False
        self.is_open = False
        self._tell: Callable[[Input], None] = lambda given: None

    def strike(self, on: bool) -> None:
        self.strike_is_on = on

    def leaf_is_open(self) -> bool:
        return self.is_open

    def listen(self, tell: Callable[[Input], None]) -> None:
        self._tell = tell

    def close(self) -> None:
        self._tell = lambda given: None

    def push(self, is_open: bool) -> None:
        """Opens or closes the leaf, by force if need be; a leaf that is already so does not move."""
        if is_open is not self.is_open:
            self.is_open = is_open
            self._tell(Input.OPENED if is_open else Input.CLOSED)

    def press_exit_button(self) -> None:
        self._tell(Input.REQUEST_TO_EXIT)


class VirtualWiring:
    """Every door of the virtual building. A door's leaf stays as it is when its controller forgets the door."""

    def __init__(self) -> None:
        self._doors: dict[int, VirtualDoor] = {}

    def __call__(self, door: int) -> VirtualDoor:
        """The wiring of this door (`edge.drivers.door.DriverFactory`)."""
        return self._doors.setdefault(door, VirtualDoor())
