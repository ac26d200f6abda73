# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of template lines as tables: desired and actual in, steps, refusals and differences out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import State
from ansible_collections.homelab.proxmox.plugins.module_utils._model.template import (
    DiskWish,
    EfiWish,
    LineActual,
    Password,
    Refresh,
    StoredImage,
    Unfinished,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._model.vm_config import VmConfig
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.decide import SourceProblem
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.plan import Plan
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.standing import wants_source
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.steps import (
    Adopt,
    Build,
    Configure,
    Destroy,
    FetchImage,
    Publish,
    Retire,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.template import plan_templates

from tests.support.lines import (
    EVERYTHING,
    IMAGE,
    NEW,
    NOW,
    OLD,
    RUN,
    cluster,
    generation,
    guest,
    line,
    plan,
    source,
    survey,
)


def kinds(of: Plan) -> list[type]:
    return [type(step) for step in of.steps]


def test_nothing_there_builds_and_publishes() -> None:
    found = plan(line(), None, source())
    assert kinds(found) == [FetchImage, Build, Publish]
    assert found.steps[0].filename == "debian-13-111111111111.qcow2"
    assert found.steps[0].via == "download"
    assert found.steps[1].identity.vmid == 9000
    assert found.after["debian-13@pve1"]["reasons"] == ["there is no current generation"]


def test_a_stored_image_is_not_fetched_again() -> None:
    stored = StoredImage(volid="local:import/debian-13-111111111111.qcow2", size=1, format="qcow2")
    found = plan(line(), None, source(), images={("pve1", "local"): (stored,)})
    assert kinds(found) == [Build, Publish]


def test_as_declared_plans_nothing() -> None:
    current = generation(line(), 9000)
    found = plan(line(settings={"memory": "2048", "net0": "virtio,bridge=vmbr0"}), LineActual(generations=(current,)))
    assert found.steps == ()
    assert (found.before, found.after) == ({}, {})
    assert found.result["templates"]["debian-13@pve1"]["current"]["vmid"] == 9000


@pytest.mark.parametrize(
    ("settings", "config", "changes"),
    [
        ({"memory": "4096"}, {}, {"memory": "4096"}),
        ({"net0": "virtio,bridge=vmbr1"}, {}, {"net0": "virtio,bridge=vmbr1,macaddr=BC:24:11:00:00:01"}),
        ({"agent": "enabled=1"}, {"agent": "1"}, {}),
        ({"agent": "enabled=1"}, {}, {"agent": "enabled=1"}),
        ({"sockets": "1"}, {}, {}),
        ({"ciupgrade": "1"}, {}, {}),
        ({"nameserver": "9.9.9.9 1.1.1.1"}, {"nameserver": "9.9.9.9  1.1.1.1"}, {}),
        ({"memory": "2048"}, {"memory": "current=2048"}, {}),
        ({"ipconfig0": "ip=dhcp"}, {"ipconfig0": "ip=10.0.0.2/24,gw=10.0.0.1"}, {"ipconfig0": "ip=dhcp"}),
    ],
)
def test_settings_change_in_place(settings: dict[str, str], config: dict[str, str], changes: dict[str, str]) -> None:
    current = generation(line(), 9000, config=config)
    found = plan(line(settings=settings), LineActual(generations=(current,)))
    assert [step.changes for step in found.steps] == ([changes] if changes else [])
    if changes:
        assert found.steps[0].digest == "digest-9000"
        assert found.after["debian-13@pve1"].keys() == found.before["debian-13@pve1"].keys() == changes.keys()


def test_clearing_deletes_only_what_is_there() -> None:
    current = generation(line(), 9000, config={"nameserver": "9.9.9.9"})
    found = plan(line(clears=frozenset({"nameserver", "searchdomain"})), LineActual(generations=(current,)))
    assert found.steps[0].delete == ("nameserver",)
    assert found.after["debian-13@pve1"] == {"nameserver": None}


def test_name_tags_description_and_protection_change_in_place() -> None:
    current = generation(line(), 9000)
    wanted = line(name="base", tags=frozenset({"web"}), description="New text", protection=True)
    found = plan(wanted, LineActual(generations=(current,)))
    assert kinds(found) == [Configure]
    step = found.steps[0]
    assert step.changes["name"] == "base"
    assert step.changes["protection"] == "1"
    assert "web" in step.changes["tags"].split(";")
    assert "line-debian-13" in step.changes["tags"].split(";")
    assert step.changes["description"].startswith("New text\n\n```homelab\n")
    assert found.before["debian-13@pve1"]["description"] == "Debian 13"


def test_tags_of_others_stay_unless_tags_are_declared() -> None:
    current = generation(line(), 9000)
    tagged = replace(current, config=VmConfig({**current.config.raw, "tags": current.config.raw["tags"] + ";mine"}))
    assert plan(line(), LineActual(generations=(tagged,))).steps == ()
    found = plan(line(tags=frozenset()), LineActual(generations=(tagged,)))
    assert "mine" not in found.steps[0].changes["tags"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"disk": DiskWish(size=20 * 2**30)}, "the recipe changed"),
        ({"bios": "ovmf"}, "the recipe changed"),
        ({"efi": EfiWish()}, "the recipe changed"),
        ({"tpm": "v2.0"}, "the recipe changed"),
        ({"storage": "local", "cloudinit_storage": "local"}, "the storage changed (local-lvm to local)"),
        ({"image": replace(IMAGE, digest=NEW)}, "the pinned checksum changed"),
    ],
)
def test_everything_else_builds_beside_and_keeps_the_old_one(changes: dict[str, object], reason: str) -> None:
    current = generation(line(), 9000)
    found = plan(line(**changes), LineActual(generations=(current,)), source())
    assert kinds(found) == [FetchImage, Build, Publish, Retire]
    assert found.steps[1].identity.vmid == 9001
    assert found.steps[3].generation.vmid == 9000
    assert reason in found.after["debian-13@pve1"]["reasons"][0]
    assert found.before["debian-13@pve1"]["vmid"] == 9000


def test_a_newer_vendor_image_builds_and_the_same_one_does_not() -> None:
    current = generation(line(), 9000)
    assert kinds(plan(line(), LineActual(generations=(current,)), source(NEW))) == [FetchImage, Build, Publish, Retire]
    assert plan(line(), LineActual(generations=(current,)), source(OLD)).steps == ()


def test_a_new_generation_is_none_that_another_clock_has_named_already() -> None:
    there = [
        generation(line(), 9000, generation="20261123120000"),
        generation(line(), 9001, generation="20261123120001"),
    ]
    built = plan(line(), LineActual(generations=tuple(there)), source(NEW)).steps[1]
    assert isinstance(built, Build)
    assert built.identity.generation == "20261123120002"
    assert built.generations == {"20261123120000", "20261123120001"}


@pytest.mark.parametrize(
    ("policy", "age_days", "asked"),
    [("never", 400, False), ("max_age", 29, False), ("max_age", 31, True), ("always", 0, True)],
)
def test_when_the_vendor_is_asked(policy: str, age_days: int, asked: bool) -> None:
    built = (NOW - timedelta(days=age_days)).isoformat()
    wanted = line(refresh=Refresh(policy=policy))
    current = generation(line(), 9000, built=built)
    assert wants_source(wanted, LineActual(generations=(current,)), NOW) is asked
    assert wants_source(wanted, LineActual(), NOW) is True


def test_an_unreachable_vendor_is_a_warning_with_a_current_generation() -> None:
    current = LineActual(generations=(generation(line(), 9000),))
    found = plan(line(), current, SourceProblem("no route", unreachable=True))
    assert found.steps == found.refusals == ()
    assert "not refreshed" in found.notes[0]


def test_a_vendor_that_cannot_be_believed_is_a_refusal_even_then() -> None:
    current = LineActual(generations=(generation(line(), 9000),))
    found = plan(line(), current, SourceProblem("the checksum of a dated build changed"))
    assert "the checksum of a dated build changed" in str(found.refusals[0])
    assert found.steps == ()


def test_an_unreachable_vendor_is_a_refusal_without_one() -> None:
    found = plan(line(), None, SourceProblem("no route to vendor.example"))
    assert found.steps == ()
    assert "image='debian-13': no route to vendor.example" in str(found.refusals[0])


def test_two_current_generations_leave_the_newest() -> None:
    new, old = generation(line(), 9001), generation(line(), 9000)
    found = plan(line(), LineActual(generations=(new, old)))
    assert kinds(found) == [Retire]
    assert found.steps[0].generation.vmid == 9000
    assert found.changed


def test_an_incomplete_current_one_is_not_current() -> None:
    broken = generation(line(), 9000, config={"scsi0": "local-lvm:vm-9000-disk-0,size=3G"})
    assert broken.incomplete == ("scsi0",)
    assert LineActual(generations=(broken,)).current is None


def unfinished(**changes: object) -> Unfinished:
    deadline = changes.pop("deadline", "2026-11-23T11:00:00+00:00")
    built = generation(line(), 9005, state=State.BUILDING, deadline=deadline, config=changes.pop("config", {}))
    return Unfinished(generation=built, **changes)


HALF = {"template": None, "scsi0": "local-lvm:vm-9005-disk-0,size=3G"}


@pytest.mark.parametrize(
    ("left", "steps"),
    [
        (unfinished(config=HALF), [Destroy, FetchImage, Build, Publish]),
        (
            unfinished(config=HALF, deadline="2026-11-23T13:00:00+00:00", owner_gone=True),
            [Destroy, FetchImage, Build, Publish],
        ),
        (unfinished(), [Publish]),
    ],
)
def test_an_unfinished_build_whose_run_is_gone_is_finished_or_removed(left: Unfinished, steps: list[type]) -> None:
    found = plan(line(), LineActual(unfinished=(left,)), source(OLD))
    assert kinds(found) == steps
    assert found.refusals == ()


@pytest.mark.parametrize(
    "left",
    [
        unfinished(deadline="2026-11-23T13:00:00+00:00"),
        unfinished(running_task="UPID:pve1:1:1:1:qmcreate:9005:root@pam:"),
    ],
)
def test_an_unfinished_build_of_a_living_run_is_refused(left: Unfinished) -> None:
    found = plan(line(), LineActual(unfinished=(left,)), source())
    (refusal,) = found.refusals
    assert "VM 9005 is being built by run place-9-9" in str(refusal)


@pytest.mark.parametrize(
    "left",
    [
        unfinished(deadline="2026-11-23T13:00:00+00:00"),
        unfinished(running_task="UPID:pve1:1:1:1:qmcreate:9005:root@pam:"),
        unfinished(config={"lock": "create"}),
    ],
)
def test_absent_leaves_the_build_of_a_living_run_alone(left: Unfinished) -> None:
    found = plan(line(absent=True), LineActual(unfinished=(left,)))
    assert "VM 9005" in str(found.refusals[0])
    assert found.steps == ()


def test_absent_removes_what_a_dead_run_left() -> None:
    found = plan(line(absent=True), LineActual(unfinished=(unfinished(config=HALF),)))
    assert kinds(found) == [Destroy]


def test_a_resumed_publication_brings_what_was_declared_meanwhile() -> None:
    found = plan(line(settings={"memory": "4096"}), LineActual(unfinished=(unfinished(),)), source(OLD))
    assert kinds(found) == [Publish]
    assert found.steps[0].changes["memory"] == "4096"


def test_adoption_writes_the_identity_and_changes_nothing_else() -> None:
    raw = {"name": "old", "template": 1, "scsi0": "local-lvm:base-9000-disk-0,size=3G", "digest": "d"}
    occupied = LineActual(occupant=cluster([guest(9000)]).guests[9000], occupant_config=VmConfig(raw))
    found = plan(line(vmid=9000, adopt=True), occupied, guests=[guest(9000)])
    assert kinds(found) == [Adopt]
    assert found.steps[0].digest == "d"
    assert "role: template\n" in found.steps[0].changes["description"]


def test_an_occupied_vmid_is_refused_with_the_remedy() -> None:
    row = cluster([guest(9000, name="dns")]).guests[9000]
    found = plan(line(vmid=9000), LineActual(occupant=row), source(), guests=[guest(9000, name="dns")])
    assert "vmid=9000: another guest has it (dns on pve1)" in str(found.refusals[0])
    assert "adopt: true" in str(found.refusals[0])


def test_absent_destroys_every_generation_and_nothing_else() -> None:
    both = (generation(line(), 9001), generation(line(), 9000, state=State.RETIRED))
    found = plan(line(absent=True), LineActual(generations=both))
    assert [step.generation.vmid for step in found.steps] == [9001, 9000]
    assert plan(line(absent=True), LineActual()).steps == ()


def test_absent_keeps_what_is_protected_or_cloned_and_says_so() -> None:
    protected = generation(line(), 9001, config={"protection": 1})
    cloned = generation(line(), 9000, state=State.RETIRED)
    found = plan(line(absent=True), LineActual(generations=(protected, cloned), dependants={9000: (120, 121)}))
    texts = [str(refusal) for refusal in found.refusals]
    assert any("VM 9001 (debian-13) stays: it is protected" in text for text in texts)
    assert any("linked clones hang on it: 120, 121" in text for text in texts)
    assert found.steps == ()


@pytest.mark.parametrize(
    ("changes", "more", "text"),
    [
        ({"node": "pve9"}, {}, "node='pve9': the cluster has no such node. Name one of: pve1, pve2"),
        ({"node": "pve2"}, {}, "node='pve2': the node is offline"),
        ({"storage": "nosuch"}, {}, "storage='nosuch': the node has no such storage"),
        ({"storage": "plain"}, {}, "storage='plain': it does not hold disk images"),
        ({"storage": "thick"}, {}, "storage='thick': storage type lvm has no base images"),
        ({"image_storage": "local-lvm"}, {}, "image_storage='local-lvm': storage type lvmthin holds no files"),
        ({"image_storage": "plain"}, {}, "pvesm set plain --content import,iso,vztmpl"),
        ({}, {"version": "8.3.5"}, "Upgrade the node to Proxmox VE 8.4 or newer"),
        ({"disk": DiskWish(size=2**30)}, {}, "disk.size='1G': the disk of Debian 13 has 3G, and disks only grow"),
        ({"vmid_range": (9000, 9000)}, {"guests": [guest(9000)]}, "vmid_range='9000-9000': every VMID of it is taken"),
        ({}, {"permissions": {}}, "these credentials are not allowed to see guests"),
        ({"pool": "tpl"}, {"permissions": {"/pool/other": {"VM.Audit": 1}}}, "Grant VM.Audit on /pool/tpl"),
        (
            {},
            {"permissions": {**EVERYTHING, "/storage": {"Datastore.Audit": 1}}},
            "it lacks Datastore.AllocateSpace on /storage/local-lvm",
        ),
        (
            {"image": replace(IMAGE, firmware=replace(IMAGE.firmware, uefi=False)), "bios": "ovmf"},
            {},
            "has no UEFI boot",
        ),
        ({"efi": EfiWish(secure_boot=True)}, {}, "efi.secure_boot=True: Debian 13 has no signed boot loader"),
    ],
)
def test_refusals_name_option_value_and_remedy(changes: dict, more: dict, text: str) -> None:
    found = plan(line(**changes), None, source(), **more)
    assert any(text in str(refusal) for refusal in found.refusals), [str(r) for r in found.refusals]


def test_several_problems_are_reported_together() -> None:
    found = plan(line(storage="thick", image_storage="plain"), None, source(), version="8.2.1")
    assert {refusal.option for refusal in found.refusals} == {"storage", "image_storage", "node"}


def test_a_big_image_does_not_fit() -> None:
    found = plan(line(), None, source(size=95 * 2**30))
    assert "the image needs 95.0 GiB, 90.0 GiB are free" in str(found.refusals[0])


@pytest.mark.parametrize(
    ("permissions", "answer", "via"),
    [
        (EVERYTHING, source(), "download"),
        (EVERYTHING, source(compression="xz"), "upload"),
        (EVERYTHING, source(url="file:///srv/x.qcow2"), "upload"),
        ({**EVERYTHING, "/": {}, "/nodes": {"Sys.Audit": 1}}, source(), "upload"),
    ],
)
def test_the_node_downloads_where_it_can(permissions: dict, answer: object, via: str) -> None:
    found = plan(line(), None, answer, permissions=permissions)
    assert found.steps[0].via == via


def test_a_password_is_set_once_or_always() -> None:
    current = generation(line(), 9000, config={"cipassword": "**********"})
    once = line(password=Password(value="s3cret"))
    always = line(password=Password(value="s3cret", always=True))
    assert plan(once, LineActual(generations=(current,))).steps == ()
    found = plan(always, LineActual(generations=(current,)))
    assert found.steps[0].password is True
    assert "s3cret" not in repr(found)


def test_several_lines_share_one_image_and_take_different_vmids() -> None:
    one, two = line(), line(line="web", name="web")
    both = replace(survey(one), lines={one.key: LineActual(), two.key: LineActual()})
    found = plan_templates([one, two], both, {one.key: source(), two.key: source()}, RUN)
    assert kinds(found) == [FetchImage, Build, Publish, Build, Publish]
    assert [step.identity.vmid for step in found.steps if isinstance(step, Build)] == [9000, 9001]
