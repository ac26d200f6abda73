# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of VMs as tables: where VMs come to live, what differs, and that a plan that was applied is empty."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.cluster import (
    Cluster,
    GuestRow,
    NodeRow,
    StorageRow,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._model.disk import Disk
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import (
    Identity,
    Role,
    clone_tags,
    describe,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._model.net import Net
from ansible_collections.homelab.proxmox.plugins.module_utils._model.size import GIB, format_size, from_gib
from ansible_collections.homelab.proxmox.plugins.module_utils._model.template import Password
from ansible_collections.homelab.proxmox.plugins.module_utils._model.vm import (
    DiskSlot,
    FoundVm,
    HaWish,
    Source,
    Vm,
    VmPlace,
    VmSurvey,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._model.vm_config import VmConfig
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.plan import Plan
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.vm import VmRun, plan_vms
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.vm_changes import VmChanges, vm_changes
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.vm_steps import (
    CloneVm,
    ConfigureVm,
    KeepHa,
    StartVm,
)
from hypothesis import given
from hypothesis import strategies as st

GENERATION, NEWER = "20261123120000", "20261125120000"
RUN = VmRun(id="here-1-1", now=datetime(2026, 11, 26, tzinfo=UTC), builder="homelab.proxmox 0.1.0")
IDENTITY = Identity(vmid=100, role=Role.CLONE, line="debian-13", generation=GENERATION, origin="9000")
CONFIG: dict[str, object] = {
    "name": "web1",
    "description": describe("Text", IDENTITY),
    "tags": ";".join(sorted(clone_tags(IDENTITY))),
    "memory": "2048",
    "cores": 2,
    "scsi0": "local-lvm:vm-100-disk-0,size=3G",
    "scsi1": "local-lvm:vm-100-cloudinit,media=cdrom,size=4M",
    "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
    "ciuser": "debian",
    "ipconfig0": "ip=dhcp",
    "digest": "ab",
}


def storage(node: str, name: str, *, shared: bool = False) -> StorageRow:
    return StorageRow(
        storage=name,
        node=node,
        type="rbd" if shared else "lvmthin",
        content=frozenset({"images"}),
        shared=shared,
        available=True,
        total=None,
        used=None,
    )


def row(vmid: int, name: str, node: str = "pve1", **more: t.Any) -> GuestRow:
    blank = GuestRow(
        vmid=vmid,
        node=node,
        type="qemu",
        name=name,
        status="stopped",
        template=False,
        tags=frozenset(),
        lock="",
        pool="",
    )
    return replace(blank, **more)


def cluster(*guests: GuestRow, memory: t.Mapping[str, int | None] | None = None) -> Cluster:
    free = memory or {"pve1": 8, "pve2": 8, "pve3": 8}
    nodes = {
        name: NodeRow(node=name, online=True, memory_free=None if gib is None else gib * GIB)
        for name, gib in free.items()
    }
    rows = [storage(node, "local-lvm") for node in nodes] + [storage(node, "ceph", shared=True) for node in nodes]
    return Cluster(nodes, {(one.node, one.storage): one for one in rows}, {one.vmid: one for one in guests})


def source(vmid: int = 9000, node: str = "pve1", generation: str = GENERATION, where: str = "local-lvm") -> Source:
    config = VmConfig(
        {
            "scsi0": f"{where}:base-{vmid}-disk-0,size=3G",
            "scsi1": f"{where}:vm-{vmid}-cloudinit,media=cdrom",
            "memory": "2048",
            "net0": "virtio=BC:24:11:00:00:99,bridge=vmbr0",
            "template": 1,
        }
    )
    template = row(vmid, "debian-13", node, template=True)
    return Source(row=template, config=config, line="debian-13", generation=generation)


def found(config: t.Mapping[str, object] | None = None, status: str = "stopped", **more: t.Any) -> FoundVm:
    given = VmConfig(dict(CONFIG if config is None else config))
    base = FoundVm(row=row(100, "web1", status=status), config=given, identity=IDENTITY)
    return replace(base, **more)


def survey(vms: t.Sequence[Vm], *sources: Source, there: FoundVm | None = None, **more: t.Any) -> VmSurvey:
    have = {vm.name: (there,) if there is not None and vm.name == "web1" else () for vm in vms}
    blank = VmSurvey(
        cluster=cluster(*(one.row for one in sources)),
        found=have,
        sources={"line debian-13": tuple(sorted(sources, key=lambda one: one.generation, reverse=True))},
        unseen={vm.name: () for vm in vms},
    )
    return replace(blank, **more)


def vm(name: str = "web1", **more: t.Any) -> Vm:
    place = {key: more.pop(key) for key in VmPlace.__dataclass_fields__ if key in more}
    return Vm(name=name, line="debian-13", place=VmPlace(**place), **more)


def clones(plan: Plan) -> dict[str, tuple[str, int, int]]:
    """Node, template and VMID of each clone, by name."""
    return {step.vm.name: (step.node, step.source.vmid, step.vmid) for step in plan.steps if isinstance(step, CloneVm)}


# --- where new VMs come to live


def test_the_newest_generation_that_the_node_reaches() -> None:
    here, shared = source(), source(9010, "pve2", NEWER, "ceph")
    one = [vm(node="pve1")]
    assert clones(plan_vms(one, survey(one, here, shared), RUN)) == {"web1": ("pve1", 9010, 100)}
    local = source(9010, "pve2", NEWER)
    assert clones(plan_vms(one, survey(one, here, local), RUN)) == {"web1": ("pve1", 9000, 100)}


@pytest.mark.parametrize(
    ("memory", "nodes"),
    [
        ({"pve1": 4, "pve2": 8, "pve3": 6}, ["pve2", "pve3", "pve2"]),
        ({"pve1": 8, "pve2": 8, "pve3": 8}, ["pve1", "pve2", "pve3"]),
        # Nobody may see the memory: fewest guests, then by name.
        ({"pve1": None, "pve2": 8, "pve3": 8}, ["pve1", "pve2", "pve3"]),
    ],
)
def test_any_node_by_free_memory_with_what_was_given_away_in_this_plan(
    memory: t.Mapping[str, int | None], nodes: list[str]
) -> None:
    wanted = [vm(f"w{number}") for number in range(3)]
    lines = [source(9000 + number, f"pve{number + 1}") for number in range(3)]
    seen = survey(wanted, *lines, cluster=cluster(memory=memory))
    given_nodes = [node for node, _template, _vmid in clones(plan_vms(wanted, seen, RUN)).values()]
    assert given_nodes == nodes


def test_a_spread_counts_what_is_there_what_is_planned_and_what_is_not_tagged_yet() -> None:
    wanted = [vm(spread="web"), *(vm(f"w{number}", spread="web") for number in range(3))]
    lines = [source(9000 + number, f"pve{number + 1}") for number in range(3)]
    tagged = row(300, "other", "pve2", tags=frozenset({"web"}))
    seen = survey(wanted, *lines, there=found(), cluster=cluster(tagged, memory={"pve1": 99, "pve2": 9, "pve3": 1}))
    nodes = [node for node, _template, _vmid in clones(plan_vms(wanted, seen, RUN)).values()]
    assert nodes == ["pve3", "pve1", "pve2"]


def test_vmids_are_free_ones_of_the_block_and_none_is_given_twice_or_promised() -> None:
    wanted = [vm("w0", vmid_range=(200, 203)), vm("w1", vmid=201), vm("w2", vmid_range=(200, 203))]
    seen = survey(wanted, source(), cluster=cluster(row(200, "somebody")))
    assert [vmid for _node, _template, vmid in clones(plan_vms(wanted, seen, RUN)).values()] == [202, 201, 203]


@pytest.mark.parametrize(
    ("options", "sources", "says"),
    [
        ({"node": "pve9"}, [source()], "node pve9 is not there"),
        ({"node": "pve2"}, [source()], "node pve2 has no template of line debian-13, nor one on shared storage"),
        ({"storage": "nfs"}, [source()], "storage nfs is not available on node pve1"),
        ({}, [], "there is no current generation of it that can be seen"),
        ({"pool": "web"}, [source()], "pool='web': there is no such pool"),
    ],
)
def test_what_cannot_be_made_is_refused(options: dict[str, t.Any], sources: list[Source], says: str) -> None:
    wanted = [vm(**options)]
    plan = plan_vms(wanted, survey(wanted, *sources), RUN)
    assert says in str(plan.refusals[0])
    assert plan.steps == ()


# --- what differs


def test_a_fresh_clone_is_configured_with_what_differs_from_its_template() -> None:
    one = [vm(settings={"memory": "2048", "cores": "4"}, tags=frozenset({"web"}), started=True)]
    clone, configure, start = plan_vms(one, survey(one, source()), RUN).steps
    assert isinstance(clone, CloneVm)
    assert isinstance(configure, ConfigureVm)
    assert isinstance(start, StartVm)
    assert dict(configure.changes) == {"cores": "4", "tags": f"gen-{GENERATION};line-debian-13;state-clone;web"}
    assert clone.identity.origin == "9000"


def test_a_clone_that_was_left_before_its_configuration_is_completed_with_its_password() -> None:
    raw = {**CONFIG, "tags": f"gen-{GENERATION};line-debian-13;state-current;linux", "cipassword": "**********"}
    one = [vm(password=Password(value="secret"))]
    (step,) = plan_vms(one, survey(one, there=found(raw)), RUN).steps
    assert isinstance(step, ConfigureVm)
    assert step.password
    assert step.describe() == "complete, and set tags, cipassword of VM 100 (web1)"


def test_nothing_is_planned_for_what_is_as_declared() -> None:
    one = [vm(settings={"memory": "2048", "net0": "virtio,bridge=vmbr0", "onboot": "0"}, protection=False)]
    plan = plan_vms(one, survey(one, there=found()), RUN)
    assert (plan.steps, plan.before, plan.after, plan.refusals) == ((), {}, {}, ())


@pytest.mark.parametrize(
    ("wish", "actual", "action"),
    [
        (HaWish(settings={"state": "started"}), None, "add"),
        (HaWish(settings={"state": "started"}), {"state": "started"}, None),
        (HaWish(settings={"max_restart": "1"}), {"state": "started"}, None),
        (HaWish(settings={"state": "stopped"}), {"state": "started"}, "change"),
        (HaWish(managed=False), {"state": "started"}, "remove"),
        (HaWish(managed=False), None, None),
    ],
)
def test_ha_is_kept(wish: HaWish, actual: dict[str, str] | None, action: str | None) -> None:
    one = [vm(ha=wish)]
    plan = plan_vms(one, survey(one, there=found(), ha={} if actual is None else {100: actual}), RUN)
    assert [step.action for step in plan.steps if isinstance(step, KeepHa)] == ([action] if action else [])


# --- plan(desired, apply(plan)) is empty

SETTINGS = st.dictionaries(
    st.sampled_from(["memory", "cores", "onboot", "net0", "net1", "ipconfig0", "nameserver", "agent", "boot", "cpu"]),
    st.integers(0, 1),
)
VALUES = {
    "memory": ("1024", "4096"),
    "cores": ("1", "8"),
    "onboot": ("0", "1"),
    "net0": ("virtio,bridge=vmbr0,tag=20", "e1000=BC:24:11:00:00:AA,bridge=vmbr1"),
    "net1": ("virtio,bridge=vmbr0", "virtio,bridge=vmbr0,firewall=1"),
    "ipconfig0": ("ip=dhcp", "ip=192.0.2.9/24,gw=192.0.2.1"),
    "nameserver": ("192.0.2.53", "192.0.2.53 192.0.2.54"),
    "agent": ("enabled=1", "enabled=0"),
    "boot": ("order=scsi0", "order=scsi0;net0"),
    "cpu": ("host", "x86-64-v2-AES"),
}
SLOTS = st.builds(
    DiskSlot,
    slot=st.sampled_from(["scsi0", "scsi2", "virtio1"]),
    size=st.sampled_from([3 * GIB, 8 * GIB, from_gib(4.5)]),
    storage=st.sampled_from(["", "local-lvm", "ceph"]),
    options=st.sampled_from([{}, {"discard": "on"}, {"ssd": "1", "cache": "writeback"}]),
)
WISHES = st.builds(
    lambda settings, disks, tags, spread, description, protection, clears: vm(
        settings={key: VALUES[key][which] for key, which in settings.items()},
        disks=tuple({one.slot: one for one in disks}.values()),
        tags=tags,
        spread=spread,
        description=description,
        protection=protection,
        clears=frozenset(key for key in clears if key not in settings),
    ),
    SETTINGS,
    st.lists(SLOTS, max_size=3),
    st.sampled_from([None, frozenset(), frozenset({"web", "db"})]),
    st.sampled_from(["", "crowd"]),
    st.sampled_from([None, "", "Other text\n"]),
    st.sampled_from([None, True, False]),
    st.sets(st.sampled_from(["ciuser", "net1", "nameserver"])),
)


def applied(config: VmConfig, changes: VmChanges) -> VmConfig:
    """What the server makes of a config: MAC addresses for new devices, volumes for new disks, tags in its order."""
    raw = {key: value for key, value in config.raw.items() if key not in changes.delete}
    for key, value in changes.changes.items():
        raw[key] = _stored(key, value, raw)
    for slot, target, _format in changes.moves:
        raw[slot] = str(Disk.parse(str(raw[slot])).replace_texts({"file": f"{target}:vm-100-{slot}"}))
    for slot, size in changes.grows:
        raw[slot] = str(Disk.parse(str(raw[slot])).replace_texts({"size": format_size(size)}))
    return VmConfig(raw)


def _stored(key: str, value: str, raw: t.Mapping[str, object]) -> str:
    if key in ("net0", "net1"):
        net = Net.parse(value)
        return str(net if net.macaddr else net.replace(macaddr=f"BC:24:11:00:01:0{key[-1]}"))
    if key in ("scsi2", "virtio1") and key not in raw:
        new, _comma, rest = value.partition(",")
        name, _colon, gib = new.partition(":")
        return f"{name}:vm-100-{key},size={format_size(from_gib(float(gib)))},{rest}".rstrip(",")
    return value


@given(WISHES)
def test_a_plan_that_was_applied_is_empty(wish: Vm) -> None:
    config = VmConfig(dict(CONFIG))
    changes = vm_changes(wish, IDENTITY, config)
    after = applied(config, changes)
    again = vm_changes(wish, IDENTITY, after)
    assert (again.changes, again.delete, again.moves, again.grows) == ({}, (), [], [])
    assert (again.before, again.after, again.refusals) == ({}, {}, [])
    assert changes.before.keys() == changes.after.keys()
    assert all(changes.before[key] != changes.after[key] for key in changes.after)
