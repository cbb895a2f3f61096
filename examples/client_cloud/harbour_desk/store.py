"""Harbour Desk's own data, in one SQLite file: all SQL is here."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from harbour_desk.model import Member, Room, Visit

_SCHEMA: Final = """
create table if not exists members (
    id integer primary key, name text not null, email text not null unique collate nocase,
    password_hash text not null, user_id integer not null
) strict;
create table if not exists joining (email text primary key collate nocase, key text not null) strict;
create table if not exists sessions (
    token_hash blob primary key, member_id integer not null references members on delete cascade,
    ends_at integer not null
) strict;
create table if not exists rooms (
    id integer primary key, name text not null unique, doors text not null,
    timezone text not null, address text not null
) strict;
create table if not exists visits (
    id integer primary key autoincrement, member_id integer not null references members on delete cascade,
    draft text not null, visitor text not null, room_id integer not null references rooms,
    starts_at integer not null, ends_at integer not null, meeting_id integer not null,
    unique (member_id, draft)
) strict;
"""
_VISITS: Final = """
    select visits.*, members.name as host, rooms.name as room, rooms.doors, rooms.timezone, rooms.address
    from visits join members on members.id = visits.member_id join rooms on rooms.id = visits.room_id
"""


class Store:
    """The file is made when it is not there."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma foreign_keys = on")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def joining_key(self, email: str) -> str:
        """The same until there is a member with this e-mail."""
        self._db.execute("insert into joining values (?, ?) on conflict do nothing", (email, str(uuid4())))
        return str(self._one("select key from joining where email = ?", email)["key"])

    def add_member(self, name: str, email: str, password_hash: str, user_id: int) -> None:
        with self._db:
            self._db.execute("begin immediate")
            self._db.execute(
                "insert into members (name, email, password_hash, user_id) values (?, ?, ?, ?)",
                (name, email, password_hash, user_id),
            )
            self._db.execute("delete from joining where email = ?", (email,))

    def members(self) -> list[Member]:
        return [_member(row) for row in self._db.execute("select * from members order by name, id")]

    def remove_member(self, id: int) -> None:
        """With their sessions and visits."""
        self._db.execute("delete from members where id = ?", (id,))

    def find_member(self, email: str) -> tuple[Member, str] | None:
        """A member and the hash of their password."""
        row = self._one("select * from members where email = ?", email)
        return None if row is None else (_member(row), row["password_hash"])

    def add_session(self, token_hash: bytes, member_id: int, ends_at: int) -> None:
        self._db.execute("insert into sessions values (?, ?, ?)", (token_hash, member_id, ends_at))

    def find_session(self, token_hash: bytes, now: int) -> Member | None:
        row = self._one(
            "select members.* from sessions join members on members.id = member_id"
            " where token_hash = ? and ends_at > ?",
            *(token_hash, now),
        )
        return None if row is None else _member(row)

    def remove_sessions(self, token_hash: bytes, now: int) -> None:
        """This session, and whichever are over."""
        self._db.execute("delete from sessions where token_hash = ? or ends_at <= ?", (token_hash, now))

    def add_room(self, name: str, doors: list[int], timezone: str, address: str) -> None:
        self._db.execute(
            "insert into rooms (name, doors, timezone, address) values (?, ?, ?, ?)",
            (name, json.dumps(doors), timezone, address),
        )

    def rooms(self) -> list[Room]:
        return [_room(row["id"], row["name"], row) for row in self._db.execute("select * from rooms order by id")]

    def find_room(self, id: int) -> Room | None:
        return next((room for room in self.rooms() if room.id == id), None)

    def add_visit(
        self, member_id: int, draft: str, visitor: str, room_id: int, starts_at: int, ends_at: int, meeting_id: int
    ) -> None:
        """A draft that is there already stays as it is."""
        self._db.execute(
            "insert into visits (member_id, draft, visitor, room_id, starts_at, ends_at, meeting_id)"
            " values (?, ?, ?, ?, ?, ?, ?) on conflict (member_id, draft) do nothing",
            (member_id, draft, visitor, room_id, starts_at, ends_at, meeting_id),
        )

    def find_drafted(self, member_id: int, draft: str) -> Visit | None:
        row = self._one(f"{_VISITS} where member_id = ? and draft = ?", member_id, draft)
        return None if row is None else _visit(row)

    def find_visit(self, id: int) -> Visit | None:
        row = self._one(f"{_VISITS} where visits.id = ?", id)
        return None if row is None else _visit(row)

    def visits_of(self, member_id: int, ends_after: int) -> list[Visit]:
        """The soonest first."""
        rows = self._db.execute(
            f"{_VISITS} where member_id = ? and ends_at > ? order by starts_at, visits.id", (member_id, ends_after)
        )
        return [_visit(row) for row in rows]

    def remove_visit(self, id: int) -> None:
        self._db.execute("delete from visits where id = ?", (id,))

    def _one(self, query: str, *values: object) -> Any:
        """The row, or None; also when a number is too large for any."""
        try:
            return self._db.execute(query, values).fetchone()
        except OverflowError:
            return None


def _member(row: sqlite3.Row) -> Member:
    return Member(row["id"], row["name"], row["email"], row["user_id"])


def _room(id: int, name: str, row: sqlite3.Row) -> Room:
    return Room(id, name, json.loads(row["doors"]), row["timezone"], row["address"])


def _visit(row: sqlite3.Row) -> Visit:
    room = _room(row["room_id"], row["room"], row)
    member = (row["id"], row["member_id"], row["host"], row["visitor"])
    return Visit(*member, room, row["starts_at"], row["ends_at"], row["meeting_id"])
