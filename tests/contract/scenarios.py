# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each door is tried with by the contract tests. A door without a scenario fails the suite."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.support.pve.images import qcow2
from tests.support.pve.nodes import package
from tests.support.workbench import IMAGE, Bench

from .scenarios_actions import ACTIONS, ACTS
from .scenarios_bake import BAKES
from .scenarios_config import CONFIG
from .scenarios_vms import VMS

Params = Mapping[str, t.Any]

ACTION_DOORS: Mapping[str, str] = {
    "vm_template_prove": "each run proves anew",
    "vm_template_rollback": "without a generation each run goes back by one",
    **ACTS,
}
"""Doors that act instead of keeping something, each with the reason why a second run may act again."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One use of a door on a bench.

    C(prepare) comes before the first run, C(changes) says whether that run changes something. C(keyed): the
    difference is first by what it is about (a line, a volume), then by key. C(here): what changes is a file of this
    machine, nothing in Proxmox VE.
    """

    door: str
    about: str
    params: Callable[[Bench], Params]
    prepare: Callable[[Bench], object] = lambda bench: None
    changes: bool = True
    keyed: bool = False
    here: bool = False

    def __str__(self) -> str:
        return f"{self.door}: {self.about}"


PLACES = {"storages": ["local-lvm"], "image_storages": ["local"], "nodes": ["pve1"], "bridges": ["vmbr0"]}
"""What an automation user of a small site is given."""


def own(bench: Bench) -> Params:
    """An image of one's own, pinned."""
    return {"url": bench.url(), "checksum": f"sha256:{bench.publish()}"}


def line(**options: t.Any) -> Callable[[Bench], Params]:
    """Options of vm_template for the catalogue's image."""
    return lambda bench: bench.line(**options)


def image(**options: t.Any) -> Callable[[Bench], Params]:
    """Options of image for the catalogue's image."""
    return lambda bench: {"node": "pve1", "image": IMAGE, "catalog_files": [str(bench.catalog)], **options}


def build(bench: Bench) -> None:
    """A line that was built an hour ago."""
    bench.build()
    bench.later(hours=1)


def build_twice(bench: Bench) -> None:
    """A line with an older generation beside the current one."""
    build(bench)
    bench.build(disk={"size": "10G"})
    bench.later(hours=1)


def prepare_proof(bench: Bench) -> None:
    """A line, and guests that know who they are."""
    build(bench)
    bench.cluster.guest_setup.append(lambda vm, guest: guest.on("machine-id", out=f"machine-id {vm.vmid}\n"))


def outdate(bench: Bench) -> None:
    """A line whose vendor has published since."""
    build(bench)
    bench.publish_newer()


def leave_unfinished(bench: Bench) -> None:
    """What a run that died in the middle leaves, an hour ago."""
    vm = bench.build()
    vm.config["tags"] = vm.config["tags"].replace("state-current", "state-building")
    description = vm.config["description"].removesuffix("```")
    vm.config["description"] = f"{description}deadline: {bench.now.isoformat()}\n```"
    del vm.config["template"]
    bench.later(hours=1)


def hand_made(bench: Bench) -> None:
    """A template as people make them."""
    disk = bench.cluster.allocate("pve1", "local-lvm", 9000, 3 * 1024**3, name="base-9000-disk-0")
    bench.cluster.add_vm(9000, "by-hand", config={"scsi0": f"{disk},size=3G"}, template=True)


def store_two_builds(bench: Bench) -> None:
    for digest in ("0123456789ab", "ba9876543210"):
        bench.cluster.put_file(f"local:import/{IMAGE}-{digest}.qcow2", qcow2())


def fleet(*lines: Params, **options: t.Any) -> Callable[[Bench], Params]:
    """Options of vm_template_fleet for the catalogue's image on the one node."""

    def params(bench: Bench) -> Params:
        full = [{} if line.get("state") == "absent" else {"image": IMAGE, "storage": "local-lvm"} for line in lines]
        given = [{**preset, **line} for preset, line in zip(full, lines, strict=True)]
        return {"lines": given, "nodes": ["pve1"], "catalog_files": [str(bench.catalog)], **options}

    return params


def build_fleet(bench: Bench) -> None:
    """Two lines that were built an hour ago."""
    assert bench.call("vm_template_fleet", fleet({"line": "alpha"}, {"line": "beta"})(bench))["changed"]
    bench.later(hours=1)


def prune(*lines: str, **options: t.Any) -> Callable[[Bench], Params]:
    """Options of vm_template_prune: these lines stay."""

    def params(bench: Bench) -> Params:
        given = fleet(*({"line": line} for line in lines))(bench)
        return {**given, "confirm": True, "allow_no_lines": True, **options}

    return params


def build_fleet_and_images(bench: Bench) -> None:
    """Two lines, and two files that nothing was built from."""
    build_fleet(bench)
    store_two_builds(bench)


BACKUP = {"line": "debian-13", "storage": "local"}


def back_up(bench: Bench) -> None:
    """A line whose generation was backed up, and one more generation since."""
    build(bench)
    assert bench.call("vm_template_backup", BACKUP)["changed"]
    bench.build(disk={"size": "10G"})
    bench.later(hours=1)


def lose(bench: Bench) -> None:
    """The generation that was backed up is gone."""
    back_up(bench)
    bench.server.call(bench.cluster._qm_destroy, {"node": "pve1", "vmid": 9000}, "root@pam")
    bench.settle()


def bundle(**options: t.Any) -> Callable[[Bench], Params]:
    """Options of vm_template_bundle for the catalogue's image."""

    def params(bench: Bench) -> Params:
        return {**fleet({"line": "alpha"})(bench), "line": "alpha", "path": str(bench.folder / "alpha.tar"), **options}

    return params


def build_alpha(bench: Bench) -> None:
    assert bench.call("vm_template_fleet", fleet({"line": "alpha"})(bench))["changed"]
    bench.later(hours=1)


def export(bench: Bench) -> None:
    """A bundle of a line, with its image."""
    build_alpha(bench)
    assert bench.call("vm_template_bundle", bundle(include_image=True)(bench))["changed"]


def neglect(bench: Bench) -> None:
    """A node with a service that has failed, and packages that wait."""
    bench.cluster.services["pve1"] = {"pvestatd": ("failed", "failed", "enabled")}
    bench.cluster.packages["pve1"] = [package("openssl", "3.0.1", "3.0.2"), package("pve-new", None, "1.0", "Proxmox")]


def grant(bench: Bench) -> None:
    assert bench.call("access", PLACES)["changed"]


SCENARIOS = [
    Scenario(door="vm_template", about="first build", params=line(cipassword="Correct-Horse-77"), keyed=True),
    Scenario(door="vm_template", about="own image", params=lambda bench: bench.line(**own(bench)), keyed=True),
    Scenario(door="vm_template", about="nothing to do", params=line(), prepare=build, changes=False),
    Scenario(
        door="vm_template",
        about="in place",
        params=line(
            memory=4096, tags=["web"], description="Ours.", protection=True, ciuser="", nameserver=["192.0.2.1"]
        ),
        prepare=build,
        keyed=True,
    ),
    Scenario(
        door="vm_template",
        about="new generation",
        params=line(disk={"size": "10G"}, efi={"secure_boot": True}, tpm={}),
        prepare=build,
        keyed=True,
    ),
    Scenario(door="vm_template", about="newer image", params=line(refresh="always"), prepare=outdate, keyed=True),
    Scenario(door="vm_template", about="left unfinished", params=line(), prepare=leave_unfinished, keyed=True),
    Scenario(door="vm_template", about="adopt", params=line(vmid=9000, adopt=True), prepare=hand_made, keyed=True),
    Scenario(door="vm_template", about="absent", params=line(state="absent"), prepare=build_twice, keyed=True),
    Scenario(door="vm_template", about="absent already", params=line(state="absent"), changes=False),
    Scenario(
        door="vm_template_fleet",
        about="first build",
        params=fleet({"line": "alpha", "cipassword": "Correct-Horse-77"}, {"line": "beta"}),
        keyed=True,
    ),
    Scenario(
        door="vm_template_fleet",
        about="nothing to do",
        params=fleet({"line": "alpha"}, {"line": "beta"}),
        prepare=build_fleet,
        changes=False,
    ),
    Scenario(
        door="vm_template_fleet",
        about="every line for itself",
        params=fleet(
            {"line": "alpha", "memory": 4096}, {"line": "beta", "state": "absent"}, {"line": "gamma", "tags": ["web"]}
        ),
        prepare=build_fleet,
        keyed=True,
    ),
    Scenario(
        door="vm_template_fleet",
        about="new generations",
        params=fleet({"line": "alpha", "disk": {"size": "10G"}}, {"line": "beta", "disk": {"size": "10G"}}),
        prepare=build_fleet,
        keyed=True,
    ),
    Scenario(
        door="vm_template_prune",
        about="nothing beside the lines",
        params=prune("alpha", "beta", confirm=False),
        prepare=build_fleet,
        changes=False,
    ),
    Scenario(door="vm_template_prune", about="one line of two", params=prune("alpha"), prepare=build_fleet, keyed=True),
    Scenario(
        door="vm_template_prune",
        about="everything with its images",
        params=prune(images=True),
        prepare=build_fleet_and_images,
        keyed=True,
    ),
    Scenario(door="vm_template_backup", about="first backup", params=lambda bench: BACKUP, prepare=build, keyed=True),
    Scenario(
        door="vm_template_backup",
        about="the last one only, protected",
        params=lambda bench: {**BACKUP, "keep": 1, "protected": True},
        prepare=back_up,
        keyed=True,
    ),
    Scenario(
        door="vm_template_restore",
        about="a lost generation",
        params=lambda bench: {"line": "debian-13", "node": "pve1", "backup_storage": "local"},
        prepare=lose,
        keyed=True,
    ),
    Scenario(
        door="vm_template_restore",
        about="published",
        params=lambda bench: {"line": "debian-13", "node": "pve1", "backup_storage": "local", "publish": True},
        prepare=lose,
        keyed=True,
    ),
    Scenario(
        door="vm_template_restore",
        about="there already",
        params=lambda bench: {"line": "debian-13", "node": "pve1", "backup_storage": "local"},
        prepare=back_up,
        changes=False,
    ),
    Scenario(
        door="vm_template_bundle",
        about="a line",
        params=bundle(),
        prepare=build_alpha,
        keyed=True,
        here=True,
    ),
    Scenario(
        door="vm_template_bundle",
        about="a line with its image",
        params=bundle(include_image=True),
        prepare=build_alpha,
        keyed=True,
        here=True,
    ),
    Scenario(
        door="vm_template_bundle_index",
        about="one bundle",
        params=lambda bench: {"folder": str(bench.folder)},
        prepare=export,
        keyed=True,
        here=True,
    ),
    Scenario(
        door="vm_template_bundle_import",
        about="unsigned",
        params=lambda bench: {
            "path": str(bench.folder / "alpha.tar"),
            "dest": str(bench.folder),
            "allow_unsigned": True,
        },
        prepare=export,
        keyed=True,
        here=True,
    ),
    Scenario(
        door="vm_template_info", about="two generations", params=lambda bench: {}, prepare=build_twice, changes=False
    ),
    Scenario(
        door="vm_template_info",
        about="everything",
        params=lambda bench: {
            "gather": ["vendor", "clones", "sizes"],
            "catalog_files": [str(bench.catalog)],
            "allow_unverified": True,
        },
        prepare=build_twice,
        changes=False,
    ),
    Scenario(
        door="templates_report",
        about="what is there",
        params=lambda bench: {
            "path": str(bench.folder / "report.html"),
            "json_path": str(bench.folder / "report.json"),
            "catalog_files": [str(bench.catalog)],
        },
        prepare=build_twice,
        here=True,
    ),
    Scenario(door="image", about="catalogue", params=image(), keyed=True),
    Scenario(door="image", about="upload", params=image(transfer="upload"), keyed=True),
    Scenario(door="image", about="own image", params=lambda bench: {"node": "pve1", **own(bench)}, keyed=True),
    Scenario(door="image", about="absent", params=image(state="absent"), prepare=store_two_builds, keyed=True),
    Scenario(
        door="image", about="any build will do", params=image(refresh="never"), prepare=store_two_builds, changes=False
    ),
    Scenario(door="image_info", about="two builds", params=lambda bench: {}, prepare=store_two_builds, changes=False),
    Scenario(door="access", about="first run", params=lambda bench: PLACES),
    Scenario(door="access", about="more places", params=lambda bench: {**PLACES, "zones": ["lab"]}, prepare=grant),
    Scenario(door="access", about="absent", params=lambda bench: {"state": "absent"}, prepare=grant),
    Scenario(door="access", about="on demand", params=lambda bench: {**PLACES, "capabilities": ["updates"]}),
    Scenario(door="node_info", about="how they are", params=lambda bench: {}, changes=False),
    Scenario(
        door="node_info",
        about="everything",
        params=lambda bench: {"nodes": ["pve1"], "gather": ["services", "updates"]},
        prepare=neglect,
        changes=False,
    ),
    Scenario(door="preflight", about="fresh site", params=lambda bench: {"fail_on": "never"}, changes=False),
    Scenario(door="cloud_image_info", about="one entry", params=lambda bench: {"ids": ["debian-13"]}, changes=False),
    Scenario(
        door="vm_template_prove",
        about="one clone",
        params=lambda bench: {"line": "debian-13", "prove": {"clones": 1}},
        prepare=prepare_proof,
        keyed=True,
    ),
    Scenario(
        door="vm_template_rollback",
        about="to the previous generation",
        params=lambda bench: {"line": "debian-13"},
        prepare=build_twice,
        keyed=True,
    ),
    Scenario(
        door="vm_template",
        about="to its fixed VMID",
        params=line(vmid=150),
        prepare=build,
        keyed=True,
    ),
    Scenario(
        door="vm_template",
        about="pinned and held",
        params=line(hold=True, disk={"size": "12G"}),
        prepare=build,
        changes=False,
    ),
    Scenario(
        door="cloud_image_info",
        about="own catalogue",
        params=lambda bench: {"ids": [IMAGE], "catalog_files": [str(bench.catalog)]},
        changes=False,
    ),
]
SCENARIOS += [Scenario(**one) for one in BAKES]
SCENARIOS += [Scenario(**one) for one in ACTIONS]
SCENARIOS += [Scenario(**one) for one in VMS]
SCENARIOS += [Scenario(**one) for one in CONFIG]
