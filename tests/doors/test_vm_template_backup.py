# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of generations: one for each that is asked for, and nobody else's is ever touched."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.workbench import Bench, Result

WISH = {"line": "debian-13", "storage": "local"}
VZDUMP = r"/vzdump$"


@pytest.fixture
def built(bench: Bench) -> Bench:
    """A line with one generation, an hour old."""
    bench.build()
    bench.later(hours=1)
    return bench


def back_up(bench: Bench, *, check: bool = False, **options: Any) -> Result:
    return bench.call("vm_template_backup", {**WISH, **options}, check=check)


def done(bench: Bench, **options: Any) -> Result:
    """A run that must end well."""
    result = back_up(bench, **options)
    assert not result.get("failed"), result
    return result


def stored(bench: Bench) -> list[str]:
    """The volumes of all backups."""
    return sorted(volid for volid, volume in bench.cluster.volumes().items() if volume.content == "backup")


def newer(bench: Bench, number: int) -> None:
    """One more generation, a day later."""
    bench.later(days=1)
    bench.build(disk={"size": f"{10 + number}G"})


def foreign_backup(bench: Bench, vmid: int, notes: str | None, *, day: str = "2020_01_01") -> str:
    volid = f"local:backup/vzdump-qemu-{vmid}-{day}-10_00_00.vma.zst"
    volume = bench.cluster.put_file(volid, b"{}")
    volume.notes = notes
    return volid


# --- taking


def test_the_backup_of_the_current_generation_tells_whose_it_is(built: Bench) -> None:
    result = done(built)
    (dump,) = built.writes()
    (volid,) = stored(built)
    backup = result["backup"]
    assert (backup["volid"], backup["line"], backup["vmid"]) == (volid, "debian-13", 9000)
    assert backup["generation"] == built.call("vm_template_info", {})["templates"][0]["generation"]
    assert backup["size"] > 0
    assert result["backups"] == [backup]
    assert dump.params["mode"] == "stop"
    assert dump.params["notes-template"].startswith(f"homelab line=debian-13 generation={backup['generation']} recipe=")
    assert "protected" not in dump.params


def test_a_generation_that_has_a_backup_is_not_backed_up_again(built: Bench) -> None:
    first = done(built)
    again = done(built)
    assert again["changed"] is False
    assert built.writes() == []
    assert again["backup"] == first["backup"]


def test_each_generation_has_its_own_and_the_last_ones_stay(built: Bench) -> None:
    done(built)
    oldest = stored(built)
    for number in range(2):
        newer(built, number)
        result = done(built, keep=2)
    assert len(stored(built)) == 2
    assert [one["volid"] for one in result["removed"]] == oldest
    assert [one["volid"] for one in result["backups"]] == list(reversed(stored(built)))


def test_what_was_asked_for_counts_as_the_newest(built: Bench) -> None:
    """Otherwise a named old generation would be backed up and its backup deleted in turns."""
    generation = done(built)["backup"]["generation"]
    newer(built, 1)
    done(built)
    result = done(built, generation=generation, keep=1)
    assert [one["generation"] for one in result["backups"]] == [generation]
    assert done(built, generation=generation, keep=1)["changed"] is False


def test_backups_of_others_are_neither_counted_nor_deleted(built: Bench) -> None:
    """Not those of the VM that had the VMID before, not those of a job, not those of another line."""
    others = [
        foreign_backup(built, 9000, None),
        foreign_backup(built, 9000, "debian-13", day="2020_01_02"),
        foreign_backup(built, 9000, "homelab line=other generation=20200101000000", day="2020_01_03"),
        foreign_backup(built, 150, "homelab line=debian-13x generation=20200101000000"),
    ]
    built.cluster.storages["local"]["prune-backups"] = "keep-last=1"
    result = done(built, keep=1)
    assert result["removed"] == []
    assert set(others) < set(stored(built))


def test_protected_backups_stay_beside_what_is_kept(built: Bench) -> None:
    done(built, protected=True)
    newer(built, 1)
    done(built)
    newer(built, 2)
    result = done(built, keep=1)
    assert len(stored(built)) == 2
    assert [(one["reason"], one["volid"]) for one in result["kept"]] == [("it is protected", stored(built)[0])]


def test_protection_follows_what_is_declared(built: Bench) -> None:
    assert done(built, protected=True)["backup"]["protected"] is True
    assert done(built)["changed"] is False
    result = done(built, protected=False)
    assert result["changed"]
    assert result["diff"]["after"][result["backup"]["volid"]]["protected"] is False
    (volume,) = (one for one in built.cluster.volumes().values() if one.content == "backup")
    assert volume.protected is False


def test_too_many_deletions_are_refused_before_anything_is_done(built: Bench) -> None:
    for number in range(3):
        done(built)
        newer(built, number)
    before = stored(built)
    result = back_up(built, keep=1, max_deletions=2)
    assert "max_deletions=2: 3 backups would go" in result["msg"]
    assert stored(built) == before
    assert built.writes() == []


# --- refusals


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"line": "nowhere"}, "it has no current generation"),
        ({"generation": "20200101000000"}, "there is no complete generation of that name"),
        ({"node": "pve9"}, "it has no current generation"),
        ({"storage": "nowhere"}, "storage='nowhere': there is no such storage"),
        ({"storage": "local-lvm"}, "pvesm set local-lvm --content"),
        ({"keep": 0}, "keep=0: the backup that is asked for always stays"),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_be_right(built: Bench, options: dict[str, Any], said: str) -> None:
    result = back_up(built, **options)
    assert result["failed"]
    assert said in result["msg"]
    assert built.writes() == []


def test_a_locked_generation_waits_for_its_operation(built: Bench) -> None:
    built.cluster.vms[9000].config["lock"] = "backup"
    assert "VM 9000 is locked (backup)" in back_up(built)["msg"]


# --- faults


def test_a_failed_task_shows_its_reason_and_that_nothing_is_left(built: Bench) -> None:
    built.cluster.faults.add(
        "fail_task", "POST", VZDUMP, exitstatus="job errors", log=("ERROR: Backup of VM 9000 failed - no space",)
    )
    result = back_up(built)
    assert "Backup of VM 9000 failed" in result["msg"]
    assert "Nothing was left behind" in result["msg"]
    assert stored(built) == []
    assert done(built)["changed"]


@pytest.mark.parametrize("effect", ["cut_before", "cut_after"])
def test_a_cut_is_looked_into_and_one_backup_comes_of_it(built: Bench, effect: str) -> None:
    built.cluster.faults.add(effect, "POST", VZDUMP)
    result = done(built)
    built.cluster.faults.assert_all_fired()
    assert stored(built) == [result["backup"]["volid"]]
    assert done(built)["changed"] is False


def test_a_server_error_is_no_backup(built: Bench) -> None:
    built.cluster.faults.add("status", "POST", VZDUMP, code=500, reason="got no worker upid - start worker failed")
    result = back_up(built)
    assert result["failed"]
    assert stored(built) == []


def test_notes_that_vzdump_could_not_write_are_written(built: Bench) -> None:
    """It only warns of it; a backup without notes would be nobody's."""
    dump = built.cluster.dump

    def forgetful(vm: Any, v: dict[str, Any], log: list[str]) -> None:
        dump(vm, {key: value for key, value in v.items() if key != "notes-template"}, log)

    built.cluster.dump = forgetful
    result = done(built)
    assert re.search(r"generation=\d{14}", next(w for w in built.writes() if w.method == "PUT").params["notes"])
    assert result["backup"]["generation"]
    assert done(built)["changed"] is False


def test_an_archive_that_a_failed_task_leaves_is_named(built: Bench) -> None:
    """The protection flag is set after the archive is complete, and its failure ends the task."""
    dump = built.cluster.dump

    def unprotected(vm: Any, v: dict[str, Any], log: list[str]) -> None:
        dump(vm, {**v, "protected": 0}, log)
        log.append("ERROR: Backup of VM 9000 failed - unable to set protected flag")

    built.cluster.dump = unprotected
    built.cluster.faults.add("fail_task", "POST", VZDUMP, exitstatus="job errors", done=True)
    result = back_up(built, protected=True)
    (volid,) = stored(built)
    assert f"{volid}, which is complete" in result["msg"]
    assert result["left_behind"]
    again = done(built, protected=True)
    assert again["backup"]["protected"] is True
    assert stored(built) == [volid]


def test_a_backup_that_was_protected_meanwhile_is_left_alone(built: Bench) -> None:
    done(built)
    (volid,) = stored(built)
    newer(built, 1)
    dump = built.cluster.dump

    def protecting(vm: Any, v: dict[str, Any], log: list[str]) -> None:
        built.cluster.volume(volid, "pve1").protected = True
        dump(vm, v, log)

    built.cluster.dump = protecting
    result = back_up(built, keep=1)
    assert f"{volid} is no longer what the plan saw" in result["msg"]
    assert volid in stored(built)
    assert len(result["done"]) == 1
