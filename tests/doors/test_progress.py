# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option C(progress_file) of the modules that build: what they write there, and that they never depend on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.site import LINE, Site
from tests.support.workbench import IMAGE, Bench, warnings_of

TRACK = f"{LINE}@pve1"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "progress.jsonl"


def told(file: Path) -> list[tuple[str, str, str]]:
    """Track, event and text of every line."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [(line["track"], line["event"], line["text"]) for line in lines]


def test_a_build_tells_its_steps_and_a_second_run_nothing(site: Site, file: Path) -> None:
    options: dict[str, Any] = {"progress_file": str(file)}
    assert site.run("vm_template", site.line(**options), check=True)["changed"]
    assert not file.exists()
    result = site.keep(**options)
    assert result["changed"], result
    assert told(file) == [
        (TRACK, "begin", f"download {site_image(site)} to local"),
        (TRACK, "end", f"download {site_image(site)} to local"),
        (TRACK, "begin", "build a template"),
        (TRACK, "end", "build a template"),
        (TRACK, "begin", "publish it as current"),
        (TRACK, "end", "publish it as current"),
    ]
    assert [json.loads(line)["step"] for line in file.read_text(encoding="utf-8").splitlines()][::2] == result["steps"]
    assert "correct-horse-7" not in file.read_text(encoding="utf-8")
    assert result["template"]["current"]["vmid"] in site.cluster.vms
    size = file.stat().st_size
    assert not site.keep(**options)["changed"]
    assert file.stat().st_size == size


def site_image(site: Site) -> str:
    """The stored name of the image."""
    (name,) = [volid.rpartition("/")[2] for volid in site.cluster.volumes("pve1") if ":import/" in volid]
    return name


def test_a_long_import_is_followed_by_polls_alone(site: Site, file: Path) -> None:
    """The clock of the site skips what is waited, so that half a second of the server is long for the module."""
    site.cluster.durations["qmcreate"] = 0.5
    result = site.keep(progress_file=str(file))
    assert (TRACK, "progress", "import") in told(file)
    asked = [entry.path for entry in site.server.requests if entry.method == "GET"]
    of_tasks = [path for path in asked if "/tasks/UPID" in path]
    assert [path for path in of_tasks if path.endswith("/log")]
    assert result["requests"] == {
        "reads": len(asked) - len(of_tasks),
        "writes": len(site.writes()),
        "polls": len(of_tasks),
    }


def test_a_failed_step_is_told(site: Site, file: Path) -> None:
    site.faults.add("fail_task", method="POST", path=r"/nodes/pve1/qemu", exit_status="no space left", log=())
    result = site.keep(progress_file=str(file))
    assert result["failed"]
    site.faults.assert_all_fired()
    assert told(file)[2:4] == [(TRACK, "begin", "build a template"), (TRACK, "failed", "build a template")]
    assert "no space left" not in file.read_text(encoding="utf-8")


def test_an_upload_tells_of_both_transfers(bench: Bench, file: Path) -> None:
    digest = bench.publish()
    assert bench.image(transfer="upload", progress_file=str(file))["changed"]
    track, name = f"{IMAGE}@pve1", f"{IMAGE}-{digest[:12]}.qcow2"
    found = told(file)
    assert found[0] == (track, "begin", f"upload {name} to local")
    assert found[-1] == (track, "end", f"upload {name} to local")
    stages = [text for _track, event, text in found if event == "progress"]
    assert stages[0] == "download to this machine"
    assert stages[-1] == "upload"


def test_a_disk_that_is_full_is_a_warning(bench: Bench) -> None:
    result = bench.image(progress_file="/dev/full")
    assert not result.get("failed"), result
    assert result["changed"]
    (warning,) = warnings_of(result)
    assert warning == "progress_file: /dev/full: No space left on device. The work goes on without it."


@pytest.mark.parametrize(("path", "reason"), [(".", "it is a folder"), ("nosuch/file", "is no folder")])
def test_a_path_that_cannot_be_written_is_one_clear_message(bench: Bench, file: Path, path: str, reason: str) -> None:
    bad = file.parent / path
    for result in (bench.image(progress_file=str(bad)), bench.template(progress_file=str(bad))):
        assert result["failed"]
        assert result["msg"].startswith(f"progress_file='{bad}': ")
        assert reason in result["msg"]
        assert result["problems"] == [result["msg"]]
    assert bench.server.requests == []
