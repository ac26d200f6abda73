# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong before anything is done: refused with option, value and remedy, and without one write request."""

from __future__ import annotations

import typing as t
from collections.abc import Callable

import pytest

from tests.support.ordeal import Ordeal, World, suffer
from tests.support.site import Site


def storage(name: str, **changes: t.Any) -> World:
    """A storage's definition says something else."""

    def break_it(site: Site) -> Callable[[], object]:
        options = site.cluster.storages[name]
        before = dict(options)
        options.update(changes)
        return lambda: (options.clear(), options.update(before))

    return break_it


def gone(name: str) -> World:
    """The storage is not there."""

    def break_it(site: Site) -> Callable[[], object]:
        options = site.cluster.storages.pop(name)
        return lambda: site.cluster.storages.__setitem__(name, options)

    return break_it


def old_server(site: Site) -> Callable[[], object]:
    before = site.cluster.version
    site.cluster.version = "8.3.5"
    return lambda: setattr(site.cluster, "version", before)


def offline(site: Site) -> Callable[[], object]:
    site.cluster.set_node_offline("pve2")
    return lambda: site.cluster.set_node_offline("pve2", False)


def occupied(site: Site) -> Callable[[], object]:
    site.cluster.add_vm(9000, "somebody-elses")
    return lambda: site.cluster.remove_vm(9000)


ON_PVE2 = {"node": "pve2"}

CASES = [
    Ordeal(
        name="missing storage",
        world=gone("local-lvm"),
        says=("storage='local-lvm'", "no such storage", "Name one of: "),
    ),
    Ordeal(
        name="missing image storage",
        world=gone("local"),
        says=("image_storage='local'", "no such storage", "grant Datastore.Audit on /storage/local"),
    ),
    Ordeal(
        name="storage without import",
        world=storage("local", content="iso,images"),
        says=("image_storage='local'", "no 'import'", "Run: pvesm set local --content images,import,iso"),
    ),
    Ordeal(
        name="storage without images",
        world=storage("local-lvm", content="rootdir"),
        says=("storage='local-lvm'", "does not hold disk images", "Run: pvesm set local-lvm --content images,rootdir"),
    ),
    Ordeal(
        name="cloud-init storage without images",
        options={"cloudinit_storage": "fast"},
        world=storage("fast", content="iso"),
        says=("cloudinit_storage='fast'", "pvesm set fast --content images,iso"),
    ),
    Ordeal(
        name="thick LVM",
        only={"storage": "thick"},
        says=("storage='thick'", "type lvm has no base images", "LVM-thin instead of LVM"),
    ),
    Ordeal(
        name="storage that is not active",
        world=storage("local-lvm", active=0),
        says=("storage='local-lvm'", "not available on this node", "pvesm status"),
    ),
    Ordeal(
        name="block storage for images",
        only={"image_storage": "local-lvm"},
        says=("image_storage='local-lvm'", "holds no files", "such as local"),
    ),
    Ordeal(name="PVE before 8.4", world=old_server, says=("node='pve1'", "runs Proxmox VE 8.3.5", "Upgrade the node")),
    Ordeal(name="node offline", options=ON_PVE2, world=offline, says=("node='pve2'", "offline", "Start it")),
    Ordeal(name="unknown node", only={"node": "pve7"}, says=("node='pve7'", "no such node", "Name one of: pve1, pve2")),
    Ordeal(
        name="VMID taken",
        options={"vmid": 9000},
        world=occupied,
        says=("vmid=9000", "somebody-elses", "Choose a free vmid"),
    ),
    Ordeal(
        name="range full",
        options={"vmid_range": "9000-9000"},
        world=occupied,
        says=("vmid_range='9000-9000'", "every VMID of it is taken", "Widen the range"),
    ),
    Ordeal(name="image: missing storage", door="image", world=gone("local"), says=("storage='local'", "Name one of: ")),
    Ordeal(
        name="image: storage without import",
        door="image",
        world=storage("local", content="iso"),
        says=("storage='local'", "no 'import'", "Run: pvesm set local --content import,iso"),
    ),
    Ordeal(
        name="image: block storage",
        door="image",
        only={"storage": "thick"},
        says=("storage='thick'", "type lvm holds no files", "Name a storage of type"),
    ),
    Ordeal(
        name="image: PVE before 8.4", door="image", world=old_server, says=("node='pve1'", "8.3.5", "Upgrade the node")
    ),
    Ordeal(
        name="image: node offline",
        door="image",
        options=ON_PVE2,
        world=offline,
        says=("node='pve2'", "offline", "Start it"),
    ),
]


@pytest.mark.parametrize("ordeal", [*CASES], ids=str)
def test_refused_before_anything_is_written(site: Site, ordeal: Ordeal) -> None:
    result = suffer(site, ordeal)
    assert result["refusals"] or "problems" in result


def test_all_refusals_come_together(site: Site) -> None:
    site.cluster.storages["local"]["content"] = "iso"
    result = site.keep(storage="thick", vmid_range="9000-9000", cloudinit_storage="nosuch")
    for text in ("3 problems", "storage='thick'", "cloudinit_storage='nosuch'", "image_storage='local'"):
        assert text in result["msg"]
    assert site.writes() == []


def test_a_template_that_is_there_is_kept_while_its_storages_are_not(site: Site) -> None:
    """What a build would need does not concern a run that builds nothing."""
    assert site.keep()["changed"]
    site.cluster.storages["local"]["content"] = "iso"
    idle = site.keep()
    assert not idle.get("failed"), idle["msg"]
    assert site.writes() == []
