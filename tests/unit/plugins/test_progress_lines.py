# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people see of a progress file: which lines, how often, and that following one always ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.plugin_utils import live
from ansible_collections.homelab.proxmox.plugins.plugin_utils.progress_lines import Lines

TRACK = "debian-13@pve1"
MIB = 2**20


def event(event: str, at: float, text: str = "build a template", **more: Any) -> bytes:
    minutes, seconds = divmod(at, 60)
    time = f"2026-11-23T12:{minutes:02.0f}:{seconds:06.3f}+00:00"
    told = {"time": time, "track": TRACK, "event": event, "step": "…", "text": text, **more}
    return json.dumps(told).encode() + b"\n"


def told(*events: tuple[float, bytes]) -> list[str]:
    """Everything that is said of events at their times."""
    lines = Lines()
    return [text for now, data in events for text in lines.take(data, now)]


def test_a_quick_step_is_one_line() -> None:
    assert told((0.0, event("begin", 0.0)), (0.3, event("end", 0.3))) == [f"{TRACK}: build a template: done (0.3 s)"]
    assert told((0.0, event("begin", 0.0) + event("end", 0.01))) == [f"{TRACK}: build a template: done"]


def test_a_longer_step_is_announced_once() -> None:
    assert told((0.0, event("begin", 0.0)), (0.9, b""), (1.0, b""), (1.3, b""), (75.0, event("end", 75.0))) == [
        f"{TRACK}: build a template …",
        f"{TRACK}: build a template: done (1 min 15 s)",
    ]


def test_a_failed_step_says_so() -> None:
    assert told((0.0, event("begin", 0.0)), (0.3, event("failed", 3.24))) == [
        f"{TRACK}: build a template: failed after 3.2 s"
    ]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"percent": 34.3, "bytes": 120 * MIB, "total": 350 * MIB}, "import … 34 % (120 of 350 MiB)"),
        ({"percent": 35.0, "bytes": 0.7 * 2**30, "total": 2 * 2**30}, "import … 35 % (0.7 of 2.0 GiB)"),
        ({"percent": 50.0, "bytes": 0, "total": 512}, "import … 50 % (0 of 512 B)"),
        ({"bytes": 3 * MIB}, "import … (3.0 MiB)"),
        ({"percent": 50.0}, "import … 50 % (12 s)"),
        ({}, "import … (12 s)"),
        ({"percent": "many", "bytes": True, "total": None}, "import … (12 s)"),
    ],
)
def test_how_far_it_is(facts: dict[str, Any], expected: str) -> None:
    said = told((0.0, event("begin", 0.0)), (1.0, b""), (12.0, event("progress", 12.0, "import", **facts)))
    assert said == [f"{TRACK}: build a template …", f"{TRACK}: {expected}"]


def test_progress_is_said_every_ten_seconds_or_ten_percent() -> None:
    events = [(float(now), event("progress", now, "import", percent=now)) for now in range(2, 40)]
    said = told((0.0, event("begin", 0.0)), (1.0, b""), *events)
    assert [line.partition("… ")[2] for line in said[1:]] == ["10 % (10 s)", "20 % (20 s)", "30 % (30 s)"]


def test_fast_progress_is_said_every_two_seconds_at_most() -> None:
    events = [(now / 10, event("progress", now / 10, "import", percent=now)) for now in range(101)]
    said = told((0.0, event("begin", 0.0)), *events)
    assert len(said) == 1 + 5


def test_tracks_are_told_apart() -> None:
    other = event("begin", 0.0).replace(b"debian-13@pve1", b"web@pve2")
    assert told((0.0, event("begin", 0.0)), (0.5, other), (1.2, b""), (1.6, b"")) == [
        f"{TRACK}: build a template …",
        "web@pve2: build a template …",
    ]


def test_a_line_in_two_pieces_is_one_line() -> None:
    end = event("end", 0.3)
    assert told((0.0, event("begin", 0.0) + end[:20]), (0.3, end[20:])) == [f"{TRACK}: build a template: done (0.3 s)"]


def test_what_others_write_into_the_file_does_no_harm() -> None:
    strange = [
        b"\n",
        b"no json\n",
        b"[1]\n",
        b"\xff\xfe\n",
        b'{"event": "begin"}\n',
        b'{"event": "progress", "track": 1}\n',
    ]
    assert told(*((0.0, data) for data in strange)) == []
    (line,) = told((0.0, event("end", 0.0, "a\x1b[2J\r\nb\ud800" + "c" * 1000)))
    assert line.startswith(f"{TRACK}: a [2J b?ccc")
    assert len(line) < 400


def test_bytes_without_an_end_are_not_kept() -> None:
    lines = Lines()
    for _turn in range(10):
        lines.take(b"x" * 100_000, 0.0)
    assert lines.take(b"\n" + event("end", 0.0), 0.0) == [f"{TRACK}: build a template: done"]
    assert len(lines._rest) < 100_000


# --- following


class Screen:
    """Takes what Ansible would display; C(broken) stands for a way to the screen that is gone."""

    def __init__(self, broken: bool = False) -> None:
        self.lines: list[str] = []
        self.shown = threading.Event()
        self.broken = broken

    def display(self, text: str, *, stderr: bool = False) -> None:
        assert stderr, "standard output may be JSON for another program"
        self.shown.set()
        if self.broken:
            raise BrokenPipeError
        self.lines.append(text)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    found = Screen()
    monkeypatch.setattr(live, "Display", lambda: found)
    monkeypatch.setattr(live, "LOOK_EVERY", 0.01)
    yield found
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


def test_lines_are_shown_while_the_block_runs(tmp_path: Path, screen: Screen) -> None:
    file = tmp_path / "progress.jsonl"
    with live.followed(file, "[home] "):
        file.write_bytes(event("begin", 0.0) + event("end", 0.5))
        assert screen.shown.wait(10)
        assert screen.lines == [f"[home] {TRACK}: build a template: done (0.5 s)"]


def test_the_last_lines_are_shown_although_the_block_is_over(tmp_path: Path, screen: Screen) -> None:
    file = tmp_path / "progress.jsonl"
    with live.followed(file, ""):
        file.write_bytes(event("end", 0.0))
    assert screen.lines == [f"{TRACK}: build a template: done"]


def test_what_was_there_before_is_not_shown(tmp_path: Path, screen: Screen) -> None:
    file = tmp_path / "progress.jsonl"
    file.write_bytes(event("end", 0.0, "of an earlier run"))
    with live.followed(file, ""), file.open("ab") as stream:
        stream.write(event("end", 0.0))
    assert screen.lines == [f"{TRACK}: build a template: done"]


def test_following_ends_with_a_block_that_fails(tmp_path: Path, screen: Screen) -> None:
    file = tmp_path / "progress.jsonl"
    with pytest.raises(KeyboardInterrupt), live.followed(file, ""):
        file.write_bytes(event("failed", 0.0))
        raise KeyboardInterrupt
    assert screen.lines == [f"{TRACK}: build a template: failed"]


def test_a_screen_that_is_gone_ends_only_the_following(tmp_path: Path, screen: Screen) -> None:
    screen.broken = True
    file = tmp_path / "progress.jsonl"
    with live.followed(file, ""):
        file.write_bytes(event("end", 0.0))
        assert screen.shown.wait(10)


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_file_that_cannot_be_read_shows_nothing(tmp_path: Path, screen: Screen, kind: str) -> None:
    with live.followed(tmp_path if kind == "folder" else tmp_path / "nosuch", ""):
        pass
    assert screen.lines == []
