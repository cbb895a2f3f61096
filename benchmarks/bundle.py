"""What an app carries when it includes the TypeScript SDK."""

from __future__ import annotations

import gzip

from sdks.typescript import build

from benchmarks.figures import Figure, Figures

NAMES = ("typescript_bundle_kb",)


def run() -> Figures:
    size = len(gzip.compress(build.bundle("index.ts"), 9))
    return {NAMES[0]: Figure(size / 1000, "kB", 25)}
