"""Harbour Desk: a small co-working company whose members open its doors with their phones. An example to copy from."""
