# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup becomes a generation again: whole, with an identity of its own, once, or not at all."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible import restore_door
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import Identity, read_identity
from ansible_collections.homelab.proxmox.plugins.module_utils._model.vm_config import VmConfig

from tests.support.workbench import Bench, Result

WISH = {"line": "debian-13", "node": "pve1", "backup_storage": "local"}
RESTORE = r"/qemu$"


@pytest.fixture
def kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Two generations: 9000, of which there is a backup, and 9001, which is current."""
    bench.build(tags=["web"], description="Ours: 100 % \u00e9.")
    assert bench.call("vm_template_backup", {"line": "debian-13", "storage": "local"})["changed"]
    bench.later(days=1)
    bench.build(disk={"size": "10G"})
    bench.later(hours=1)

    class Now(restore_door.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return bench.now.astimezone(tz)

    monkeypatch.setattr(restore_door, "datetime", Now)
    return bench


def destroy(bench: Bench, vmid: int) -> None:
    """By hand: the VM is gone with its disks."""
    bench.server.call(bench.cluster._qm_destroy, {"node": "pve1", "vmid": vmid}, "root@pam")
    bench.settle()
    # A write that is cut is looked for among the last tasks, which the first conversion of this VMID is not of.
    for tasks in (bench.cluster.tasks, bench.cluster.tasklog, bench.cluster.archive):
        tasks.clear()


def restore(bench: Bench, *, check: bool = False, **options: Any) -> Result:
    return bench.call("vm_template_restore", {**WISH, **options}, check=check)


def done(bench: Bench, **options: Any) -> Result:
    """A run that must end well."""
    result = restore(bench, **options)
    assert not result.get("failed"), result
    return result


def identity_of(bench: Bench, vmid: int) -> Identity:
    found = read_identity(vmid, bench.cluster.vms[vmid].config["description"])
    assert isinstance(found, Identity), found
    return found


def assert_whole(bench: Bench, vmid: int) -> None:
    """A whole template, which can be cloned linked."""
    assert VmConfig(bench.cluster.vms[vmid].config).template_is_complete(vmid) == ()
    bench.clone(vmid, 700)


def volid(bench: Bench) -> str:
    (found,) = (name for name, volume in bench.cluster.volumes().items() if volume.content == "backup")
    return found


def archive(bench: Bench) -> Any:
    """The file of the backup, to be tampered with."""
    return bench.cluster.volume(volid(bench), "pve1").path


def rewrite(bench: Bench, **changes: Any) -> None:
    """Change what the archive says; None removes a key."""
    config = {**json.loads(archive(bench).read_text()), **changes}
    archive(bench).write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


# --- restoring


def test_a_destroyed_generation_comes_back_as_it_was(kept: Bench) -> None:
    before = identity_of(kept, 9000)
    destroy(kept, 9000)
    result = done(kept)
    assert result["template"]["vmid"] == 9000
    after = identity_of(kept, 9000)
    assert (after.generation, after.recipe, after.source, after.built, after.image) == (
        *(before.generation, before.recipe, before.source, before.built, before.image),
    )
    assert after.restored == volid(kept)
    assert after.deadline == ""
    assert kept.state(9000) == "retired"
    assert kept.state(9001) == "current"
    assert "web" in kept.tags(9000)
    assert kept.cluster.vms[9000].config["description"].startswith("Ours: 100 % \u00e9.")
    assert kept.cluster.vms[9000].config["name"] == f"debian-13-{before.generation}"
    assert_whole(kept, 9000)


def test_under_another_vmid_the_block_is_its_own(kept: Bench) -> None:
    destroy(kept, 9000)
    kept.cluster.add_vm(9000, "somebody-else", config={})
    result = done(kept, storage="local-lvm")
    vmid = result["template"]["vmid"]
    assert vmid == 9002
    assert identity_of(kept, vmid).vmid == vmid
    assert kept.cluster.vms[9000].name == "somebody-else"
    assert_whole(kept, vmid)


def test_it_is_restored_once(kept: Bench) -> None:
    destroy(kept, 9000)
    assert done(kept)["changed"]
    again = done(kept)
    assert again["changed"] is False
    assert kept.writes() == []
    assert again["template"]["vmid"] == 9000


def test_what_is_there_is_not_restored(kept: Bench) -> None:
    result = done(kept)
    assert result["changed"] is False
    assert result["template"]["vmid"] == 9000


def test_it_is_published_when_asked_and_the_newer_one_is_withdrawn(kept: Bench) -> None:
    destroy(kept, 9000)
    result = done(kept, publish=True)
    assert result["template"]["state"] == "current"
    assert result["retired"] == [9001]
    assert (kept.state(9000), kept.state(9001)) == ("current", "retired")
    assert identity_of(kept, 9001).withdrawn
    assert kept.cluster.vms[9000].config["name"] == "debian-13"
    assert done(kept, publish=True)["changed"] is False
    assert kept.template()["changed"] is False, "the line is content with what was published"


def test_what_is_there_already_is_published_when_asked(kept: Bench) -> None:
    result = done(kept, publish=True)
    assert len(kept.cluster.vms) == 2
    assert (kept.state(9000), kept.state(9001)) == ("current", "retired")
    assert result["template"]["vmid"] == 9000


def test_a_broken_template_of_the_same_generation_keeps_its_name(kept: Bench) -> None:
    del kept.cluster.vms[9000].config["template"]
    former = identity_of(kept, 9000).generation
    result = done(kept)
    vmid = result["template"]["vmid"]
    assert vmid == 9002
    assert identity_of(kept, vmid).generation == kept.now.strftime("%Y%m%d%H%M%S") != former
    assert done(kept)["changed"] is False


def test_protection_comes_back_with_the_rest(kept: Bench) -> None:
    destroy(kept, 9000)
    rewrite(kept, protection=1)
    done(kept)
    assert kept.cluster.vms[9000].config["protection"] == 1


def test_check_mode_says_what_a_run_does(kept: Bench) -> None:
    destroy(kept, 9000)
    planned = restore(kept, check=True, publish=True)
    assert kept.writes() == []
    assert 9000 not in kept.cluster.vms
    result = done(kept, publish=True)
    assert planned["diff"] == result["diff"]
    assert planned["template"] == result["template"]


# --- refusals


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"description": None}, "it bears no identity block"),
        ({"description": "```homelab\nschema: 1\nvmid: 90"}, "its identity block is cut off"),
        ({"description": "```homelab\nschema: 1\nnonsense\n```"}, "its identity block is damaged"),
        ({"description": "```homelab\nschema: 99\n```"}, "newer than this collection's"),
        ({"template": None}, "it was no whole template when it was made: template"),
        ({"scsi0": "local-lvm:vm-9000-disk-0,size=3G"}, "it was no whole template when it was made: scsi0"),
    ],
)
def test_an_archive_that_is_no_generation_is_refused(kept: Bench, changes: dict[str, Any], said: str) -> None:
    destroy(kept, 9000)
    rewrite(kept, **changes)
    result = restore(kept)
    assert said in result["msg"]
    assert kept.writes() == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("vmid: 9000", "vmid: 150", "its identity block was inherited from VM 150"),
        ("line: debian-13", "line: other", "it is of line other"),
        ("role: template", "role: clone", "it is of a clone of line debian-13"),
        ("generation: 2026", "generation: 2025", "its notes say line debian-13, generation 2026"),
    ],
)
def test_a_block_that_is_not_this_generations_is_refused(kept: Bench, old: str, new: str, said: str) -> None:
    destroy(kept, 9000)
    description = json.loads(archive(kept).read_text())["description"]
    rewrite(kept, description=description.replace(old, new))
    result = restore(kept, backup=volid(kept))
    assert said in result["msg"]
    assert kept.writes() == []


def test_an_archive_that_cannot_be_read_is_refused(kept: Bench) -> None:
    destroy(kept, 9000)
    archive(kept).write_text("no archive")
    assert "its configuration cannot be read: " in restore(kept)["msg"]
    assert kept.writes() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"generation": "20200101000000"}, "generation='20200101000000': there is not a backup of that generation"),
        ({"line": "nowhere"}, "line='nowhere': there is not a backup of it on local"),
        ({"backup": "local:backup/vzdump-qemu-1-x.vma.zst"}, "there is not such a backup"),
        ({"node": "pve9"}, "node='pve9': the cluster has no such node"),
        ({"backup_storage": "local-lvm"}, "it does not hold backups"),
        ({"recipe": "sha256:00"}, "recipe='sha256:00': local:backup/vzdump-qemu-9000-"),
        ({"source": "sha256:00"}, "source='sha256:00': local:backup/vzdump-qemu-9000-"),
        ({"storage": "nowhere"}, "there is no such storage on the node"),
        ({"vmid": 9001}, "vmid=9001: it is taken by debian-13 on pve1"),
        ({"vmid_range": "9001-9001"}, "all of its VMIDs are taken"),
        ({"backup": "local", "vmid_range": "9"}, "2 problems"),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_be_right(kept: Bench, options: dict[str, Any], said: str) -> None:
    destroy(kept, 9000)
    result = restore(kept, **options)
    assert result["failed"]
    assert said in result["msg"]
    assert kept.writes() == []


# --- faults


def left(bench: Bench) -> set[int]:
    return set(bench.cluster.vms)


@pytest.mark.parametrize("effect", ["cut_before", "cut_after"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", RESTORE), ("POST", r"/template$"), ("PUT", r"/config$")],
    ids=["restore", "convert", "finish"],
)
def test_a_cut_is_looked_into(kept: Bench, effect: str, method: str, path: str) -> None:
    destroy(kept, 9000)
    kept.cluster.faults.add(effect, method, path)
    done(kept)
    kept.cluster.faults.assert_all_fired()
    assert left(kept) == {9000, 9001}
    assert_whole(kept, 9000)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", RESTORE), ("POST", r"/template$"), ("PUT", r"/config$")],
    ids=["restore", "convert", "finish"],
)
@pytest.mark.parametrize("code", [500, 403])
def test_a_refusal_leaves_nothing(kept: Bench, method: str, path: str, code: int) -> None:
    destroy(kept, 9000)
    volumes = set(kept.cluster.volumes())
    kept.cluster.faults.add("status", method, path, code=code, reason="Permission check failed (/vms/9000, X)")
    result = restore(kept)
    assert "Nothing was left behind" in result["msg"]
    assert left(kept) == {9001}
    assert set(kept.cluster.volumes()) == volumes
    assert done(kept)["template"]["vmid"] == 9000


def test_a_failed_restore_leaves_no_empty_vm(kept: Bench) -> None:
    """Proxmox VE cleans up nothing: a VM with an empty config would stay."""
    destroy(kept, 9000)
    kept.cluster.faults.add(
        "fail_task",
        "POST",
        RESTORE,
        exitstatus="command 'vma extract' failed: exit code 255",
        log=("ERROR: zstd: bad",),
    )
    result = restore(kept)
    assert "vma extract" in result["msg"]
    assert "Nothing was left behind" in result["msg"]
    assert left(kept) == {9001}


def test_a_worker_that_died_is_named(kept: Bench) -> None:
    """Only an administrator can take its lock away."""
    destroy(kept, 9000)
    kept.cluster.faults.add("fail_task", "POST", RESTORE, exitstatus="unexpected status", crash=True)
    result = restore(kept)
    assert "VM 9000 on pve1 is locked (create)" in result["msg"]
    assert "qm unlock 9000 && qm destroy 9000" in result["msg"]
    assert done(kept)["template"]["vmid"] == 9002


def test_a_full_storage_says_which(kept: Bench) -> None:
    destroy(kept, 9000)
    kept.cluster.storages["local-lvm"]["total"] = 1024
    kept.cluster.faults.add(
        "fail_task",
        "POST",
        RESTORE,
        exitstatus="Cannot create new thin volume, free space in thin pool pve/data reached threshold",
    )
    result = restore(kept, storage="local-lvm")
    assert "storage='local-lvm': it has no space left" in result["msg"]


def test_a_vmid_that_another_client_took_is_left_to_it(kept: Bench) -> None:
    destroy(kept, 9000)
    kept.cluster.faults.add("steal_vmid", "POST", RESTORE)
    assert done(kept)["template"]["vmid"] == 9002
    assert kept.cluster.vms[9000].name == "racing-client"


def test_disks_that_became_no_bases_are_no_template(kept: Bench) -> None:
    destroy(kept, 9000)
    kept.cluster.faults.add("fail_task", "POST", r"/template$", exitstatus="can't create base images")
    result = restore(kept)
    assert "can't create base images" in result["msg"]
    assert left(kept) == {9001}


def interrupted(bench: Bench, path: str, method: str = "POST") -> None:
    """A run whose connection is gone for good at this request."""
    destroy(bench, 9000)
    bench.cluster.faults.add("cut_before", method, path, times=None)
    bench.cluster.faults.add("cut_before", "DELETE", times=None)
    result = restore(bench)
    assert result["failed"], result
    bench.cluster.faults.reset()


@pytest.mark.parametrize(
    ("path", "method"), [(r"/template$", "POST"), (r"/config$", "PUT")], ids=["before converting", "before finishing"]
)
def test_the_next_run_finishes_or_begins_anew(kept: Bench, path: str, method: str) -> None:
    rewrite(kept, protection=1)
    interrupted(kept, path, method)
    assert kept.state(9000) == "building"
    assert identity_of(kept, 9000).deadline
    result = done(kept)
    assert result["changed"]
    vmid = result["template"]["vmid"]
    assert identity_of(kept, vmid).deadline == ""
    assert kept.state(vmid) == "retired"
    assert kept.cluster.vms[vmid].config["protection"] == 1
    assert_whole(kept, vmid)
    assert done(kept)["changed"] is False
    assert len(left(kept) - {700}) == 2


def test_another_runs_restore_is_left_to_it(kept: Bench) -> None:
    interrupted(kept, r"/template$")
    config = kept.cluster.vms[9000].config
    config["description"] = re.sub(r"run: \S+", "run: elsewhere-1-1", config["description"])
    result = restore(kept)
    assert "VM 9000 is being built by run elsewhere-1-1" in result["msg"]
    assert kept.writes() == []
    kept.later(hours=2)
    assert done(kept)["changed"]


def test_a_line_is_never_published_from_an_unfinished_restore(kept: Bench) -> None:
    """A build that lacks only its publication is published by the next run; what is restored may be older."""
    interrupted(kept, r"/config$", "PUT")
    kept.later(hours=2)
    kept.template(disk={"size": "10G"})
    assert kept.state(9001) == "current"
    assert 9000 not in kept.cluster.vms


@pytest.mark.parametrize("at", range(14))
def test_wherever_it_goes_wrong_the_next_run_puts_it_right(kept: Bench, at: int) -> None:
    """Request by request of a run that restores and publishes: cut after it, or answered with an error."""
    destroy(kept, 9000)
    kept.cluster.faults.reset()
    broken = {"code": 500, "message": "interrupted"}
    fault = kept.cluster.faults.add("status" if at % 2 else "cut_after", at=at, **(broken if at % 2 else {}))
    restore(kept, publish=True)
    assert fault.fired
    kept.cluster.faults.reset()
    kept.later(hours=2)
    vmid = done(kept, publish=True)["template"]["vmid"]
    assert left(kept) == {vmid, 9001}
    assert (kept.state(vmid), kept.state(9001)) == ("current", "retired")
    assert identity_of(kept, vmid).deadline == ""
    assert_whole(kept, vmid)
    assert done(kept, publish=True)["changed"] is False


# --- limited credentials


def limit(bench: Bench, capability: str) -> None:
    """From here on the calls are made with a token that has what the guide grants for one capability."""
    granted = bench.call(
        "access",
        {
            "storages": ["local-lvm"],
            "image_storages": ["local"],
            "backup_storages": ["local"],
            "nodes": ["pve1"],
            "bridges": ["vmbr0"],
            "capabilities": [capability],
            "pool": "templates",
        },
    )
    for vmid in bench.cluster.vms:
        bench.cluster._pool_join("templates", vmid)
    bench.credentials = {"api_token_id": granted["token"]["id"], "api_token_secret": granted["token"]["secret"]}


@pytest.mark.parametrize("bench", ["8.4.21", "9.2.1"], indirect=True)
def test_a_token_with_what_the_guide_grants_can_back_up_and_restore(kept: Bench) -> None:
    limit(kept, "backup")
    assert kept.call("vm_template_backup", {"line": "debian-13", "storage": "local"})["changed"]
    destroy(kept, 9000)
    generation = json.loads(archive_of(kept, 9000).read_text())["tags"].partition("gen-")[2][:14]
    result = restore(kept, pool="templates", generation=generation)
    assert not result.get("failed"), result
    assert kept.cluster._pool_of_vm(9000) == "templates"
    assert kept.state(9000) == "retired"


def test_what_a_token_lacks_is_said_before_anything_is_made(kept: Bench) -> None:
    limit(kept, "templates")
    result = kept.call("vm_template_backup", {"line": "debian-13", "storage": "local"})
    assert "lacks VM.Backup on /pool/templates" in result["msg"]
    assert "pveum role modify" in result["msg"]
    assert kept.writes() == []


def test_a_half_made_vm_that_a_token_may_not_see_is_named(kept: Bench) -> None:
    """It has not joined its pool, so the token may neither look at it nor remove it."""
    limit(kept, "backup")
    destroy(kept, 9000)
    kept.cluster.faults.add("fail_task", "POST", RESTORE, exitstatus="vma extract failed")
    result = restore(kept, pool="templates")
    assert "VM 9000 on pve1 exists and these credentials may not see it" in result["msg"]
    assert result["left_behind"]


def archive_of(bench: Bench, vmid: int) -> Any:
    (found,) = (
        volume.path for volume in bench.cluster.volumes().values() if volume.content == "backup" and volume.vmid == vmid
    )
    return found
