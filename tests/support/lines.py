# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Template lines and what exists of them, made short for tests of planners."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from datetime import UTC, datetime

from ansible_collections.homelab.proxmox.plugins.module_utils._model.cluster import Cluster
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import (
    Identity,
    Role,
    State,
    describe,
    identity_tags,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._model.image import CloudImage, Digest, ResolvedImage
from ansible_collections.homelab.proxmox.plugins.module_utils._model.recipe import RECIPE_SCHEMA, recipe_digest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.template import (
    Generation,
    LineActual,
    Placement,
    Survey,
    TemplateLine,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._model.vm_config import VmConfig
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.making import Run
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.plan import Plan
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.template import plan_templates

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
RUN = Run(id="place-1-1", now=NOW, builder="homelab.proxmox 0.1.0", seconds=1860)
OLD = Digest("sha256", "0" * 64)
NEW = Digest("sha256", "1" * 64)

IMAGE = CloudImage(
    id="debian-13",
    name="Debian 13",
    family="debian",
    os_family="debian",
    release="13",
    variant="genericcloud",
    arch="x86_64",
    url="https://vendor.example/debian-13.qcow2",
    url_kind="latest",
    default_user="debian",
    guest_agent="no",
    serial_console="yes",
    virtual_disk_gib=3,
    min_disk_gib=8,
    confidence="high",
)

RESOURCES: list[dict[str, t.Any]] = [
    {"type": "node", "node": "pve1", "status": "online", "id": "node/pve1"},
    {"type": "node", "node": "pve2", "status": "offline", "id": "node/pve2"},
    *(
        {
            "type": "storage",
            "node": "pve1",
            "storage": name,
            "plugintype": kind,
            "content": content,
            "shared": 0,
            "status": "available",
            "maxdisk": 100 * 2**30,
            "disk": 10 * 2**30,
        }
        for name, kind, content in [
            ("local", "dir", "iso,import,images"),
            ("local-lvm", "lvmthin", "images,rootdir"),
            ("thick", "lvm", "images"),
            ("plain", "dir", "iso,vztmpl"),
        ]
    ),
]

# What root's token is answered, cut to what the planners ask.
EVERYTHING = {
    path: dict.fromkeys(
        [
            *("VM.Audit", "VM.Allocate", "VM.Clone", "VM.PowerMgmt", "VM.Monitor", "VM.Backup"),
            *("VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Cloudinit", "VM.Config.Disk", "VM.Config.HWType"),
            *("VM.Config.Memory", "VM.Config.Network", "VM.Config.Options"),
            *("Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit"),
            *("SDN.Use", "Sys.AccessNetwork", "Sys.Audit", "Sys.Modify", "Pool.Audit", "Pool.Allocate"),
        ],
        1,
    )
    for path in ("/", "/vms", "/storage", "/nodes", "/pool", "/sdn", "/access")
}


def line(**changes: t.Any) -> TemplateLine:
    """A line debian-13 on pve1; options of its placement are given by their own names."""
    place = Placement(node="pve1", storage="local-lvm", image_storage="local", cloudinit_storage="local-lvm")
    own = {name: changes.pop(name) for name in list(changes) if hasattr(place, name)}
    default = TemplateLine(line="debian-13", name="debian-13", image=IMAGE, place=replace(place, **own))
    return replace(default, **changes)


def source(digest: Digest = NEW, **changes: t.Any) -> ResolvedImage:
    """What the vendor answers."""
    return replace(
        ResolvedImage(url="https://vendor.example/20261112/debian-13.qcow2", digest=digest, verification="https"),
        **changes,
    )


def generation(of: TemplateLine, vmid: int, **changes: t.Any) -> Generation:
    """A complete generation of a line, as it is read; C(config) adds or (with None) removes config keys."""
    state = changes.pop("state", State.CURRENT)
    config = changes.pop("config", {})
    identity = Identity(
        **{
            "vmid": vmid,
            "role": Role.TEMPLATE,
            "line": of.line,
            "generation": f"2026110100{vmid}",
            "image": of.image.id,
            "source": str(OLD),
            "recipe": recipe_digest(of),
            "recipe_schema": RECIPE_SCHEMA,
            "built": "2026-11-20T00:00:00+00:00",
            "run": "place-9-9",
            **changes,
        }
    )
    tags = ";".join(sorted(identity_tags(identity, state)))
    raw = {
        "name": of.name,
        "template": 1,
        "description": describe("Debian 13", identity),
        "tags": tags,
        "memory": "2048",
        "cores": 2,
        "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
        "scsi0": f"local-lvm:base-{vmid}-disk-0,discard=on,size=3G",
        "scsi1": f"local-lvm:vm-{vmid}-cloudinit,media=cdrom",
        "digest": f"digest-{vmid}",
        **config,
    }
    raw = {key: value for key, value in raw.items() if value is not None}
    row = cluster([guest(vmid, name=of.name, tags=tags, template=1)]).guests[vmid]
    read = VmConfig(raw)
    return Generation(row=row, identity=identity, state=state, config=read, incomplete=read.template_is_complete(vmid))


def guest(vmid: int, **changes: t.Any) -> dict[str, t.Any]:
    """A row of /cluster/resources."""
    return {"type": "qemu", "vmid": vmid, "node": "pve1", "status": "stopped", "name": f"vm{vmid}", **changes}


def cluster(guests: t.Iterable[dict[str, t.Any]] = ()) -> Cluster:
    """The small cluster of RESOURCES with these guests."""
    return Cluster.from_resources([*RESOURCES, *guests])


def survey(of: TemplateLine, actual: LineActual | None = None, **changes: t.Any) -> Survey:
    """What was read before planning one line."""
    actual = actual or LineActual()
    rows = [guest(g.vmid, tags=";".join(g.row.tags), template=1) for g in actual.generations]
    rows += changes.pop("guests", [])
    default = Survey(
        cluster=cluster(rows),
        permissions=EVERYTHING,
        lines={of.key: actual},
        auth_id="root@pam!t",
        version="8.4.21",
        images={("pve1", "local"): ()},
    )
    return replace(default, **changes)


def plan(of: TemplateLine, actual: LineActual | None = None, answer: t.Any = None, **changes: t.Any) -> Plan:
    """The plan of one line."""
    return plan_templates([of], survey(of, actual, **changes), {} if answer is None else {of.key: answer}, RUN)
