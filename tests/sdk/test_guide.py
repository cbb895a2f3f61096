"""The blocks of docs/python-client.md run in order as they stand, against the real cloud."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from tests.sdk.threads import in_thread
from tests.sdk.town import Town
from tests.web.stage import served

GUIDE = Path(__file__).parents[2] / "docs" / "python-client.md"


async def test_the_guide_works(town: Town) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 10
    async with served(town.app) as url:
        names: dict[str, Any] = {
            "base_url": url,
            "client_id": town.alice.client_id,
            "client_secret": town.alice.client_secret,
        }
        for block in blocks:
            code = compile(block, str(GUIDE), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if (running := await in_thread(eval, code, names)) is not None:
                await running
    assert names["picture"].startswith(b"\x89PNG")
    assert names["last"] > 0
    assert names["event"].number == names["newest"]
