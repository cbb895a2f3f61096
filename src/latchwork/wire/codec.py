"""Tagged msgpack records to bytes and back, with one error type."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Codec(Generic[T]):
    """Encodes and decodes the members of one union of tagged structs."""

    def __init__(self, union: Any) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(union)

    def encode(self, record: T) -> bytes:
        """Equal records give equal bytes."""
        return self._encoder.encode(record)

    def decode(self, data: bytes) -> T:
        """The record in these bytes; raises `msgspec.MsgspecError` on anything else, and no other error."""
        try:
            return self._decoder.decode(data)
        except (UnicodeDecodeError, RecursionError) as error:
            raise msgspec.DecodeError(str(error)) from error
