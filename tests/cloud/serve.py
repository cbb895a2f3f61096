"""A process of the cloud that a test can kill: `python serve.py DSN PORT`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import uvicorn

from latchwork.cloud.app import create_app
from latchwork.cloud.kernel.settings import read_settings
from latchwork.wire.link import MAX_FRAME_BYTES

if __name__ == "__main__":
    dsn, port, master_key, public_url = sys.argv[1:]
    plain = read_settings({"LATCHWORK_DATA": str(Path("/nonexistent")), "LATCHWORK_MASTER_KEY": master_key})
    uvicorn.run(
        create_app(replace(plain, public_url=public_url), dsn),
        port=int(port),
        ws="websockets-sansio",
        ws_max_size=MAX_FRAME_BYTES,
        ws_per_message_deflate=False,
        access_log=False,
        log_level="error",
        timeout_graceful_shutdown=1,
    )
