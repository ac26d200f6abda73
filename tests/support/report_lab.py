# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generations laid into a fake cluster without building them, and a large fleet of them in every state."""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import replace
from datetime import datetime, timedelta

from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import (
    Identity,
    Role,
    State,
    describe,
    identity_tags,
)

from .pve import FakeCluster
from .pve.images import GIB
from .workbench import Bench

NODES = ("pve1", "pve2", "pve3")
HOSTILE = '<script>alert("1")</script>'
FAMILIES = ("debian", "ubuntu", "rocky", "alma", "fedora", "alpine", "opensuse-leap", "arch", "oracle", "amazon")
VARIANTS = ("", "-docker", "-k8s", "-hardened", "-gitlab-runner")


def hashed(text: str) -> str:
    """A digest that is nobody's."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def plant(
    cluster: FakeCluster,
    line: str,
    vmid: int,
    built: datetime,
    *,
    node: str = "pve1",
    storage: str = "fast",
    state: State = State.CURRENT,
    whole: bool = True,
    tagged: str = "",
    **identity: t.Any,
) -> t.Any:
    """One generation as it would be after its build; C(identity) are fields of its block, C(tagged) the tag's line."""
    block = Identity(
        **{
            "vmid": vmid,
            "role": Role.TEMPLATE,
            "line": line,
            "generation": built.strftime("%Y%m%d%H%M%S"),
            "image": line,
            "source": hashed(line),
            "built": built.isoformat(timespec="seconds"),
            "recipe": hashed("recipe"),
            **identity,
        }
    )
    base = "base" if whole else "vm"
    volume = cluster.allocate(node, storage, vmid, 3 * GIB, name=f"{base}-{vmid}-disk-0")
    config = {
        "description": describe("", block),
        "tags": ";".join(sorted(identity_tags(replace(block, line=tagged or line), state))),
        "scsi0": f"{volume},size=3G",
        **({"template": 1} if whole else {}),
    }
    return cluster.add_vm(vmid, line, node=node, config=config, template=whole)


def link(cluster: FakeCluster, vmid: int, newid: int, node: str = "pve1", storage: str = "fast") -> None:
    """A linked clone, with what it inherits."""
    vm = cluster.vms[vmid]
    base = vm.config["scsi0"].split(",")[0].partition(":")[2]
    volume = cluster.allocate(node, storage, newid, 3 * GIB, name=f"vm-{newid}-disk-0", base=base)
    config = {key: vm.config[key] for key in ("description", "tags")} | {"scsi0": f"{volume},size=3G"}
    cluster.add_vm(newid, f"clone-{newid}", node=node, config=config)


def large_fleet(bench: Bench, *, ages: t.Sequence[int] | None = None) -> dict[str, t.Any]:
    """Fifty lines on three nodes, and the options of C(templates_report) that declare them.

    With C(ages) in days every line is stale, as nobody asks the vendor. Else some lines are in every other state.
    """
    names = [f"{family}-{12 + number}{variant}" for number, variant in enumerate(VARIANTS) for family in FAMILIES]
    declared: list[dict[str, t.Any]] = []
    for number, name in enumerate(names):
        file = f"{name}/{name}.qcow2"
        digest = f"sha256:{bench.publish(name.encode(), file)}"
        declared.append({"line": name, "url": bench.url(file), "checksum_url": bench.sums(file), "storage": "fast"})
        age = ages[number % len(ages)] if ages else 1 + number * 7 % 28
        for place in range(len(NODES)):
            _one(bench, name, 9001 + number * 3 + place, age + place, digest=digest, odd=not ages)
    if not ages:
        _odd_ones(bench, declared)
    given = {"lines": declared, "nodes": list(NODES), "allow_unverified": True}
    return {**given, "gather": []} if ages else given


def _one(bench: Bench, name: str, vmid: int, age: int, *, digest: str, odd: bool) -> None:
    number, place = divmod(vmid - 9001, 3)
    node = NODES[place]
    built = bench.now - timedelta(days=age, minutes=number)
    block: dict[str, t.Any] = {"node": node, "image": "", "url": bench.url(f"{name}/{name}.qcow2"), "source": digest}
    if number % 3 == 0:
        block["proof"] = f"passed {built:%Y-%m-%d}"
    if odd and (number, place) == (7, 1):
        return
    if odd and (number, place) == (11, 2):
        block["proof"] = f"failed {built:%Y-%m-%d}: cloud-init status: error"
    if odd and number in (3, 19, 23, 28, 31, 40) and place != number % 3:
        built -= timedelta(days=40 + number)
        block["source"] = hashed(f"former {name}")
    block["source_build"] = f"{built:%Y%m%d}-22{number:02}"
    plant(bench.cluster, name, vmid, built, **block)
    if odd and number % 4 == 0:
        former = built - timedelta(days=30)
        plant(bench.cluster, name, vmid + 2000, former, node=node, state=State.RETIRED, image="")


def _odd_ones(bench: Bench, declared: list[dict[str, t.Any]]) -> None:
    """Held, pinned, unfinished, undeclared and foreign ones, clones, and names that nobody should choose."""
    cluster, now = bench.cluster, bench.now
    for number in (5, 23):
        declared[number]["hold"] = True
    declared[31]["pin"] = "20260901-2231"
    for vmid in (9001, 9002, 9004):
        for number in range(vmid % 4 + 1):
            link(cluster, vmid, vmid * 10 + number, node=cluster.vms[vmid].node)
    then = now - timedelta(days=3)
    plant(cluster, "debian-11", 9801, now - timedelta(days=410), image="")
    plant(cluster, "centos-7", 9802, now - timedelta(days=900), node="pve3", image="")
    plant(cluster, declared[2]["line"], 9803, now, node="pve2", state=State.BUILDING, whole=False)
    plant(cluster, HOSTILE, 9804, then, node="pve2", tagged="xss", proof='passed"><img src=x>')
    plant(cluster, "a" * 120, 9805, then, node="pve3", tagged="long", image="", url="https://h.example/" + "x" * 300)
    plant(cluster, "\u202egnp.exe", 9806, then, tagged="turned")
