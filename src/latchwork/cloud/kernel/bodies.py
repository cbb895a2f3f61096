"""Request bodies: JSON to records, with every field error at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar, get_origin

import msgspec

from latchwork.wire.api.problems import FieldError, Invalid, Malformed

T = TypeVar("T")


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """The record in a JSON body; raises Malformed when it is no JSON, Invalid with all field errors otherwise."""
    if b"\\u0000" in body:
        raise Invalid("A text must not hold the character U+0000.")
    try:
        return _decoded(body, decoder)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"The body is not JSON: {error}.") from None


def _decoded(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        # what follows the first wrong field has not been read yet, and may be no JSON
        errors = list(field_errors(msgspec.json.decode(body), decoder.type, "", decoder.strict))
        raise Invalid(errors=errors or [FieldError("", _plain(error))]) from None


def given(patch: msgspec.Struct) -> dict[str, Any]:
    """The fields that a patch gives."""
    return {name: value for name in patch.__struct_fields__ if (value := getattr(patch, name)) is not msgspec.UNSET}


def field_errors(value: Any, expected: Any, path: str, strict: bool = True) -> Iterator[FieldError]:
    """What is wrong with each field of a decoded JSON value, depth first."""
    if not is_record(expected) or not isinstance(value, dict):
        yield from _converted(value, expected, path, strict)
        return
    fields = {f.encode_name: f for f in msgspec.structs.fields(expected)}
    for name, field in fields.items():
        where = f"{path}.{name}" if path else name
        if name in value:
            yield from field_errors(value[name], field.type, where, strict)
        elif field.required:
            yield FieldError(where, "This field is missing.")
    if expected.__struct_config__.forbid_unknown_fields:
        unknown = sorted(value.keys() - fields.keys())
        yield from (FieldError(f"{path}.{name}" if path else name, "There is no such field.") for name in unknown)


def _converted(value: Any, expected: Any, path: str, strict: bool) -> Iterator[FieldError]:
    try:
        msgspec.convert(value, expected, strict=strict)
    except msgspec.ValidationError as error:
        yield FieldError(path, _plain(error))


def is_record(expected: Any) -> bool:
    """Whether a type is that of a record."""
    kind = get_origin(expected) or expected
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _plain(error: msgspec.ValidationError) -> str:
    """msgspec's sentence, ended; it names types and paths, never values."""
    return f"{str(error).replace(' - at `$', ' at `')}."
