"""Nothing is lost and nothing stands twice, whatever is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx2
import psutil
import pytest
from tests.demo.running import Running, start


def test_a_killed_building_comes_back_and_its_journal_arrives_once(tmp_path: Path) -> None:
    demo = start(tmp_path / "data")
    try:
        meeting = demo.book([1])
        demo.link(up=False)
        assert demo.show(meeting["pass"]["qrData"]) == "granted"
        old = demo.building()
        old.kill()
        demo.until(lambda: _answers(demo) and demo.building().pid != old.pid)
        demo.until_confirmed()
        assert demo.show(demo.book([2])["pass"]["qrData"], 2) == "granted"
        demo.until(lambda: _granted(demo) == 2)
        assert len(set(demo.journalled())) == len(demo.journalled())
    finally:
        demo.stop()


def test_a_killed_demo_leaves_no_process_and_goes_on_where_it_was(tmp_path: Path) -> None:
    first = start(tmp_path / "data")
    meeting = first.book([1])
    text = first.api.post(f"/v1/meetings/{meeting['id']}/pass").json()["qrData"]
    assert first.show(text) == "granted"
    children = psutil.Process(first.process.pid).children(recursive=True)
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive

    second = start(tmp_path / "data")
    try:
        assert second.line["accessPoints"] == first.line["accessPoints"]
        assert second.line["clientSecret"] == first.line["clientSecret"]
        assert second.api.get(f"/v1/meetings/{meeting['id']}").status_code == 200
        second.until(lambda: _granted(second) == 1)
        numbers = [event["number"] for event in second.events()]
        assert numbers == list(range(1, len(numbers) + 1))
    finally:
        assert second.stop() == 0


def test_a_demo_without_a_folder_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    clusters = Path("/var/lib/latchwork")
    before = set(clusters.glob("*"))
    demo = start(None)
    assert list(tmp_path.glob("latchwork-demo-*"))
    assert demo.stop() == 0
    assert not list(tmp_path.glob("latchwork-demo-*"))
    assert {path for path in set(clusters.glob("*")) - before if _is_of(path, tmp_path)} == set()


def _is_of(cluster: Path, folder: Path) -> bool:
    """Whether a cluster of root's belongs to a demo below this folder (others may be running)."""
    note = cluster / "folder.txt"
    return note.exists() and str(folder) in note.read_text()


def _answers(demo: Running) -> bool:
    try:
        return demo.doors.get("/doors").status_code == 200
    except httpx2.HTTPError:
        return False


def _granted(demo: Running) -> int:
    return sum(event["type"] == "access_granted" for event in demo.events())
