# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""templates_report writes a page on what is there and what was declared, and only when it differs."""

from __future__ import annotations

import json
import os
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._apply import files

from tests.support.pve import FakeCluster
from tests.support.pve.cluster import cluster_storages
from tests.support.report_lab import HOSTILE, NODES, large_fleet, plant
from tests.support.workbench import IMAGE, LINE, Bench, warnings_of


def three_nodes() -> FakeCluster:
    return FakeCluster(nodes=NODES, storages=cluster_storages())


def report(bench: Bench, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """One call; the page and the JSON lie in the bench's folder."""
    places = {"path": str(bench.folder / "fleet.html"), "json_path": str(bench.folder / "fleet.json")}
    whole = {**places, "catalog_files": [str(bench.catalog)], **options}
    return bench.call("templates_report", {k: v for k, v in whole.items() if v is not None}, check=check)


def told(bench: Bench) -> dict[str, Any]:
    """The report as JSON, its lines by name."""
    found = json.loads((bench.folder / "fleet.json").read_text())
    return {**found, "lines": {line["line"]: line for line in found["lines"]}}


def line(**options: Any) -> dict[str, Any]:
    return {"line": LINE, "image": IMAGE, "storage": "local-lvm", **options}


def test_what_is_there_is_reported_without_lines(bench: Bench) -> None:
    bench.build()
    bench.later(days=5)
    result = report(bench)
    assert result["changed"], result
    assert result["summary"] == {"current": 1}
    assert result["attention"] == []
    cell = told(bench)["lines"][LINE]["nodes"]["pve1"]
    assert (cell["status"], cell["reason"], cell["current"]["vmid"]) == ("current", "5 d", 9000)
    assert (cell["current"]["size"], cell["current"]["clones"]) == (3 << 30, [])
    page = (bench.folder / "fleet.html").read_text()
    assert LINE in page
    assert "VM\u00a09000" in page


def written(path: Path) -> tuple[int, int]:
    """What a write would change: another file, or another time."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def test_the_second_run_of_a_day_changes_nothing(bench: Bench) -> None:
    bench.build()
    bench.now = bench.now.replace(hour=13)
    assert report(bench)["changed"]
    before = written(bench.folder / "fleet.html")
    bench.now = bench.now.replace(hour=23, minute=59)
    again = report(bench)
    assert again["changed"] is False
    assert "diff" not in again
    assert written(bench.folder / "fleet.html") == before
    bench.later(minutes=2)
    next_day = report(bench)
    assert next_day["changed"]
    assert (next_day["diff"]["before"]["day"], next_day["diff"]["after"]["day"]) == ("2026-11-23", "2026-11-24")


def test_check_mode_shows_counts_and_writes_nothing(bench: Bench) -> None:
    bench.build()
    assert report(bench)["changed"]
    page = (bench.folder / "fleet.html").read_bytes()
    bench.publish_newer()
    planned = report(bench, check=True)
    assert planned["changed"]
    assert (bench.folder / "fleet.html").read_bytes() == page
    assert planned["diff"]["before"].keys() == {"summary", "page", "json"}
    assert planned["diff"]["before"]["summary"] == {"current": 1}
    assert planned["diff"]["after"]["summary"] == {"stale": 1}
    assert len(json.dumps(planned["diff"])) < 600
    done = report(bench)
    assert (done["diff"], done["steps"]) == (planned["diff"], planned["steps"])
    assert bench.writes() == []


def test_declared_lines_are_compared_with_what_is_there(bench: Bench) -> None:
    bench.build()
    bench.build(line="stray")
    bench.publish_newer()
    lines = [line(hold=True), line(line="never-built"), line(line="gone", state="absent")]
    result = report(bench, lines=lines, nodes=["pve1"])
    assert result["summary"] == {"missing": 1, "held": 1, "undeclared": 1}
    assert [(one["status"], one["line"], one["reason"]) for one in result["attention"]] == [
        ("missing", "never-built", "not built yet"),
        ("held", LINE, "0 d, vendor newer"),
        ("undeclared", "stray", "0 d"),
    ]
    # The image of both lines was asked for once.
    assert bench.vendor.asked[-1:] == ["debian/SHA256SUMS"]
    bench.vendor.asked.clear()
    report(bench, lines=lines, nodes=["pve1"])
    assert bench.vendor.asked == ["debian/SHA256SUMS"]


def test_vendors_are_not_asked_unless_it_is_wanted(bench: Bench) -> None:
    bench.build()
    bench.publish_newer()
    bench.later(days=31)
    bench.vendor.asked.clear()
    result = report(bench, gather=[])
    assert bench.vendor.asked == []
    assert result["attention"][0]["reason"] == "31 d, 30 d allowed"
    assert report(bench, gather=[], max_age=31)["summary"] == {"current": 1}
    assert result["requests"] == {"reads": 2, "writes": 0, "polls": 0}


def test_a_silent_vendor_is_no_failure(bench: Bench) -> None:
    bench.build()
    bench.unreachable()
    result = report(bench)
    assert result["summary"] == {"current": 1}
    assert warnings_of(result) == ["what the vendor has is not known for 1 line; the report says why"]
    assert "404" in told(bench)["silent"][0]


def test_who_signs_nothing_is_not_believed_where_a_signature_is_required(bench: Bench) -> None:
    bench.build()
    report(bench, signature="required")
    assert "a signature is required" in told(bench)["silent"][0]


@pytest.mark.parametrize("bench", [three_nodes], indirect=True)
def test_two_own_images_of_one_file_name_are_two_images(bench: Bench) -> None:
    lines = []
    for number, name in enumerate(("alpha", "beta")):
        file = f"{name}/disk.qcow2"
        digest = f"sha256:{bench.publish(name.encode(), file)}"
        plant(bench.cluster, name, 9001 + number, bench.now, image="", source=digest)
        lines.append({"line": name, "storage": "fast", "url": bench.url(file), "checksum_url": bench.sums(file)})
    assert report(bench, lines=lines, nodes=["pve1"])["summary"] == {"current": 2}
    bench.publish(b"newer", "beta/disk.qcow2")
    assert [one["line"] for one in report(bench, lines=lines, nodes=["pve1"])["attention"]] == ["beta"]


@pytest.mark.parametrize("bench", [three_nodes], indirect=True)
def test_fifty_lines_on_three_nodes_in_every_state(bench: Bench) -> None:
    given = large_fleet(bench)
    bench.cluster.vms[9001].config["tags"] += ";\u00fcmlaut"
    result = report(bench, **given)
    assert result["summary"] == {
        "failed": 1,
        "missing": 2,
        "stale": 8,
        "held": 6,
        "pinned": 3,
        "undeclared": 5,
        "current": 130,
    }
    configs = sum("/config" in path for path in bench.sent())
    assert result["requests"]["reads"] == len(bench.sent()) == configs + 1 + len(NODES)
    shown = told(bench)
    assert [one["vmid"] for one in shown["unfinished"]] == [9803]
    assert "its configuration cannot be understood" in shown["foreign"][0]["reason"]
    assert shown["lines"]["ubuntu-12"]["nodes"]["pve1"]["current"]["clones"] == [90040]
    assert shown["lines"][HOSTILE]["nodes"]["pve2"]["status"] == "undeclared"
    assert report(bench, **given)["changed"] is False


@pytest.mark.parametrize("bench", [three_nodes], indirect=True)
def test_an_offline_node_is_said_and_the_rest_reported(bench: Bench) -> None:
    for number, node in enumerate(NODES):
        plant(bench.cluster, LINE, 9001 + number, bench.now - timedelta(days=1), node=node)
    bench.cluster.nodes["pve2"]["online"] = False
    result = report(bench, gather=["clones", "sizes"])
    assert result["summary"] == {"unknown": 1, "current": 2}
    assert result["attention"] == [{"status": "unknown", "line": "", "nodes": ["pve2"], "reason": "offline, 1 line"}]
    assert all(entry.status == 200 for entry in bench.server.requests)


@pytest.mark.parametrize("bench", [three_nodes], indirect=True)
def test_shared_storage_is_listed_once_and_counts_for_every_node(bench: Bench) -> None:
    plant(bench.cluster, LINE, 9001, bench.now, storage="nfs")
    plant(bench.cluster, "other", 9002, bench.now, storage="nfs", node="pve2")
    result = report(bench, gather=["clones", "sizes"])
    assert result["summary"] == {"current": 2, "elsewhere": 2}
    assert sum(path.endswith("/content") for path in bench.sent()) == 1


def test_what_cannot_be_listed_is_not_known(bench: Bench) -> None:
    plant(bench.cluster, LINE, 9001, bench.now)
    bench.cluster.storages["fast"]["active"] = 0
    result = report(bench, gather=["clones"])
    assert warnings_of(result) == ["storage fast of node pve1 could not be listed: it is not available"]
    assert told(bench)["lines"][LINE]["nodes"]["pve1"]["current"]["clones"] is None
    assert all(entry.status == 200 for entry in bench.server.requests)


# --- the files


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "fleet.html"}, "path='fleet.html': it is relative. Give an absolute path"),
        ({"path": "{}"}, "path='{}': it is a directory. Name a file in it"),
        ({"path": "{}/no/fleet.html"}, "path='{}/no/fleet.html': there is no directory {}/no. Make it first"),
        ({"path": "/dev/null"}, "path='/dev/null': it is no ordinary file. Name another one"),
        ({"json_path": "{}/no/x.json"}, "json_path='{}/no/x.json': there is no directory {}/no. Make it first"),
        (
            {"json_path": "{}/./fleet.html"},
            "json_path='{}/./fleet.html': it is the same file as path. Give it another name",
        ),
        ({"mode": "420"}, "mode='420': write it as text of four octal digits, such as '0644'"),
        ({"max_age": -1}, "max_age=-1: it is a number of days, 0 or more"),
        ({"catalog_files": ["{}/no.yml"]}, "no.yml"),
        ({"lines": [{"line": LINE}], "nodes": []}, "name the nodes that get line debian-13"),
    ],
)
def test_options_that_cannot_be_meant(bench: Bench, options: dict[str, Any], message: str) -> None:
    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(one) for one in value]
        return value.replace("{}", str(bench.folder)) if isinstance(value, str) else value

    result = report(bench, **{name: filled(value) for name, value in options.items()})
    assert result["failed"]
    assert filled(message) in result["msg"]
    assert bench.server.requests == []


def test_all_problems_are_told_together(bench: Bench) -> None:
    result = report(bench, path="a", json_path="b", mode="rw", lines=[{"line": "Not A Name"}], nodes=["pve1"])
    named = [problem.partition("=")[0] for problem in result["problems"]]
    assert named[:3] == ["path", "json_path", "mode"]
    assert named[3].startswith("lines[0].")
    assert bench.server.requests == []


def test_a_directory_that_cannot_be_written_to(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # Who runs the tests may be root, whom no mode keeps out.
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and real(path, mode))
    result = report(bench)
    assert f"the directory {bench.folder} cannot be written to" in result["msg"]
    assert bench.server.requests == []


def test_the_mode_is_kept(bench: Bench) -> None:
    assert report(bench)["mode"] == "0644"
    page = bench.folder / "fleet.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o644
    page.chmod(0o600)
    changed = report(bench)
    assert changed["diff"] == {"before": {"mode": "0600"}, "after": {"mode": "0644"}}
    assert len(changed["steps"]) == 1
    assert report(bench)["changed"] is False
    assert report(bench, mode="0600")["changed"]
    assert stat.S_IMODE(page.stat().st_mode) == 0o600


def test_a_link_stays_a_link(bench: Bench) -> None:
    real = bench.folder / "real.html"
    (bench.folder / "fleet.html").symlink_to(real)
    assert report(bench)["changed"]
    assert (bench.folder / "fleet.html").is_symlink()
    assert real.read_bytes().startswith(b"<!doctype html>")
    assert report(bench)["changed"] is False


def test_a_write_that_fails_leaves_the_old_page(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    page = bench.folder / "fleet.html"
    page.write_text("the old one")
    before = sorted(bench.folder.iterdir())

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    result = report(bench)
    assert result["failed"]
    assert "No space left on device" in result["msg"]
    assert "Nothing was left behind" in result["msg"]
    assert page.read_text() == "the old one"
    assert sorted(bench.folder.iterdir()) == before


def test_without_json_there_is_a_page_only(bench: Bench) -> None:
    result = report(bench, json_path=None)
    assert "json" not in result
    assert [Path(path).name for path in bench.folder.glob("fleet*")] == ["fleet.html"]
