# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The progress file: whole lines from many threads, and no trouble of its own ever stops the work."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.progress import progress_from
from ansible_collections.homelab.proxmox.plugins.module_utils._apply.progress import SILENCE, ProgressFile, Told
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.plan import OptionProblems

NOON = datetime(2026, 11, 23, 12, 0, 0, 250_000, UTC)
BEGIN = Told(track="debian-13@pve1", event="begin", step="create VM 9000 …", text="build a template")
HALF = Told(track="debian-13@pve1", event="progress", step="…", text="import", percent=50.0, bytes=1024, total=2048)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_line_is_one_object_with_what_is_known(tmp_path: Path) -> None:
    warnings: list[str] = []
    path = tmp_path / "progress.jsonl"
    progress = ProgressFile(path, warnings.append, lambda: NOON)
    progress.tell(BEGIN)
    progress.tell(HALF)
    first, second = lines_of(path)
    assert first == {
        "time": "2026-11-23T12:00:00.250+00:00",
        "track": "debian-13@pve1",
        "event": "begin",
        "step": "create VM 9000 …",
        "text": "build a template",
    }
    assert (second["percent"], second["bytes"], second["total"]) == (50.0, 1024, 2048)
    assert warnings == []


def test_the_file_is_made_with_the_first_line_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    progress = ProgressFile(path, pytest.fail)
    assert not path.exists()
    before = os.umask(0)
    try:
        progress.tell(BEGIN)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    path.write_text('{"mine": 1}\n', encoding="utf-8")
    ProgressFile(path, pytest.fail).tell(BEGIN)
    assert lines_of(path)[0] == {"mine": 1}
    assert len(lines_of(path)) == 2


def test_lines_of_many_threads_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    one, other = ProgressFile(path, pytest.fail), ProgressFile(path, pytest.fail)

    def write(number: int) -> None:
        for turn in range(50):
            target = one if turn % 2 else other
            target.tell(Told(track=f"line-{number}", event="progress", step="x" * 500, text=str(turn)))

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(write, range(8)))
    found = lines_of(path)
    assert len(found) == 400
    for number in range(8):
        assert [line["text"] for line in found if line["track"] == f"line-{number}"] == [str(n) for n in range(50)]


def full_disk(_folder: Path) -> Path:
    return Path("/dev/full")


def pipe_that_nobody_reads(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def no_folder(folder: Path) -> Path:
    return folder / "nosuch" / "progress.jsonl"


@pytest.mark.parametrize("trouble", [full_disk, pipe_that_nobody_reads, no_folder])
def test_trouble_is_one_warning(tmp_path: Path, trouble: Any) -> None:
    warnings: list[str] = []
    path = trouble(tmp_path)
    progress = ProgressFile(path, warnings.append)
    for _turn in range(3):
        progress.tell(BEGIN)
    assert len(warnings) == 1
    assert warnings[0].startswith(f"progress_file: {path}: ")
    assert warnings[0].endswith("The work goes on without it.")


def test_without_the_option_nobody_listens() -> None:
    assert progress_from({"progress_file": None}) is SILENCE
    assert not SILENCE.wanted


@pytest.mark.parametrize(
    ("path", "reason"),
    [("", "it is a folder"), ("nosuch/file", "nosuch is no folder"), ("file/other", "file is no folder")],
)
def test_a_path_that_cannot_be_written_is_a_problem_of_the_option(tmp_path: Path, path: str, reason: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OptionProblems) as raised:
        progress_from({"progress_file": str(tmp_path / path)})
    (problem,) = raised.value.problems
    assert problem.startswith(f"progress_file='{tmp_path / path}'") or not path
    assert reason in problem
