"""Request and response records of the native API `/v1`.

Rules that hold everywhere: JSON with camelCase names; every instant is whole seconds since the epoch; an id is an
integer of the organisation; in a PATCH a field that is absent stays as it is (`UNSET`), null empties it.
"""
