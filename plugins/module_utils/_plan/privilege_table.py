# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each API call of this collection needs, in Proxmox's terms, as data.

C(checked) repeats what the API's own description says under C(permissions.check); a contract test compares the two for
PVE 8.4 and 9. C(unlisted) holds what the description says in words only or does not say at all, with C(origin): the
quoted words, C(measured) for a run on PVE 8.4.21 with one privilege removed at a time, or the Perl code that checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an access path names; every kind gets a role of its own."""

    POOL = "pool"
    IMAGE_STORAGE = "image_storage"
    DISK_STORAGE = "disk_storage"
    BACKUP_STORAGE = "backup_storage"
    NODE = "node"
    BRIDGE = "bridge"


@dataclass(frozen=True, slots=True)
class Right:
    """One privilege on one path; C(path) is a template over the fields of a call."""

    path: str
    privilege: str


Alternative = tuple[Right, ...]
"""Rights that are needed together."""

Need = tuple[Alternative, ...]
"""Alternatives, the narrowest first: a role is given the first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNeeds:
    """What one kind of call needs. All of C(checked) and all of C(unlisted)."""

    endpoint: str
    storage: Kind | None = None
    """What the storage of this call is used for."""
    checked: tuple[Need, ...] = ()
    unlisted: tuple[Need, ...] = ()
    origin: str = ""

    @property
    def needs(self) -> tuple[Need, ...]:
        return (*self.checked, *self.unlisted)


def _all(path: str, *privileges: str) -> tuple[Need, ...]:
    return tuple(((Right(path, privilege),),) for privilege in privileges)


def _any(path: str, *privileges: str) -> tuple[Need, ...]:
    return (tuple((Right(path, privilege),) for privilege in privileges),)


_VM = "/vms/{vmid}"
_NEW = "/vms/{newid}"
_POOL = "/pool/{pool}"
_STORE = "/storage/{storage}"
_NODE = "/nodes/{node}"
_BRIDGE = "/sdn/zones/{zone_bridge}"
_QEMU = "/nodes/{node}/qemu/{vmid}"
_CONTENT = "/nodes/{node}/storage/{storage}/content"

_NETWORK_ACCESS: Need = (
    (Right(_NODE, "Sys.AccessNetwork"),),
    (Right("/", "Sys.Audit"), Right("/", "Sys.Modify")),
)
_READ_BACKUP: Need = (
    (Right(_VM, "VM.Backup"), Right(_STORE, "Datastore.AllocateSpace")),
    (Right(_STORE, "Datastore.Allocate"),),
)
_CONFIG_PRIVILEGES = (
    "VM.Config.Options",
    "VM.Config.Memory",
    "VM.Config.CPU",
    "VM.Config.HWType",
    "VM.Config.Disk",
    "VM.Config.CDROM",
    "VM.Config.Cloudinit",
    "VM.Config.Network",
)
_ANY_CONFIG = _any(_VM, *_CONFIG_PRIVILEGES)
_CONFIG_ORIGIN = "measured; qemu-server PVE::API2::Qemu check_vm_modify_config_perm"


def _config(*privileges: str, storage: bool = False) -> CallNeeds:
    unlisted = _all(_VM, *privileges)
    if storage:
        unlisted = (*unlisted, *_all(_STORE, "Datastore.AllocateSpace"))
    return CallNeeds(
        endpoint=f"PUT {_QEMU}/config",
        storage=Kind.DISK_STORAGE if storage else None,
        checked=_ANY_CONFIG,
        unlisted=unlisted,
        origin=_CONFIG_ORIGIN,
    )


_COMMON: Mapping[str, CallNeeds] = {
    "see_vm": CallNeeds(
        endpoint="GET /cluster/resources",
        unlisted=_all(_VM, "VM.Audit"),
        origin="measured: without it the VM is missing from the list, without an error",
    ),
    "list_vms": CallNeeds(
        endpoint="GET /nodes/{node}/qemu",
        unlisted=_all(_VM, "VM.Audit"),
        origin="Only list VMs where you have VM.Audit permissions on /vms/<vmid>.; measured: without it the VM is "
        "missing from the list, without an error",
    ),
    "see_storage": CallNeeds(
        endpoint="GET /cluster/resources",
        unlisted=_all(_STORE, "Datastore.Audit"),
        origin="measured: without it the storage is missing from the list, without an error",
    ),
    "see_pool": CallNeeds(endpoint="GET /pools/{poolid}", checked=_all(_POOL, "Pool.Audit")),
    "read_vm": CallNeeds(endpoint=f"GET {_QEMU}/config", checked=_all(_VM, "VM.Audit")),
    "read_pending": CallNeeds(endpoint=f"GET {_QEMU}/pending", checked=_all(_VM, "VM.Audit")),
    "read_status": CallNeeds(endpoint=f"GET {_QEMU}/status/current", checked=_all(_VM, "VM.Audit")),
    "list_images": CallNeeds(
        endpoint=f"GET {_CONTENT}",
        storage=Kind.IMAGE_STORAGE,
        checked=_any(_STORE, "Datastore.Audit", "Datastore.AllocateSpace"),
    ),
    "download": CallNeeds(
        endpoint="POST /nodes/{node}/storage/{storage}/download-url",
        storage=Kind.IMAGE_STORAGE,
        checked=(*_all(_STORE, "Datastore.AllocateTemplate"), _NETWORK_ACCESS),
    ),
    "query_url": CallNeeds(endpoint="GET /nodes/{node}/query-url-metadata", checked=(_NETWORK_ACCESS,)),
    "upload": CallNeeds(
        endpoint="POST /nodes/{node}/storage/{storage}/upload",
        storage=Kind.IMAGE_STORAGE,
        checked=_all(_STORE, "Datastore.AllocateTemplate"),
    ),
    "image_delete": CallNeeds(
        endpoint=f"DELETE {_CONTENT}/{{volume}}",
        storage=Kind.IMAGE_STORAGE,
        unlisted=_all(_STORE, "Datastore.Allocate"),
        origin="You need 'Datastore.Allocate' privilege on the storage",
    ),
    "create": CallNeeds(
        endpoint="POST /nodes/{node}/qemu",
        storage=Kind.DISK_STORAGE,
        unlisted=(
            *_all(_VM, "VM.Allocate"),
            *_all(_STORE, "Datastore.AllocateSpace"),
            *_all(_VM, "VM.Config.CPU", "VM.Config.Memory", "VM.Config.HWType", "VM.Config.Options", "VM.Config.Disk"),
        ),
        origin="You need 'VM.Allocate' permissions on /vms/{vmid} or on the VM pool /pool/{pool}; "
        "If you create disks you need 'Datastore.AllocateSpace' on any used storage; " + _CONFIG_ORIGIN,
    ),
    "import": CallNeeds(
        endpoint="POST /nodes/{node}/qemu",
        storage=Kind.IMAGE_STORAGE,
        unlisted=_any(_STORE, "Datastore.Audit", "Datastore.AllocateSpace"),
        origin="measured; pve-storage PVE::Storage check_volume_access",
    ),
    "net": CallNeeds(
        endpoint="POST /nodes/{node}/qemu",
        unlisted=(*_all(_BRIDGE, "SDN.Use"), *_all(_VM, "VM.Config.Network")),
        origin="If you use a bridge/vlan, you need 'SDN.Use' on any used bridge/vlan; " + _CONFIG_ORIGIN,
    ),
    "cloudinit_drive": _config("VM.Config.CDROM", "VM.Config.Cloudinit", storage=True),
    "cloudinit": CallNeeds(
        endpoint=f"PUT {_QEMU}/config",
        checked=_ANY_CONFIG,
        unlisted=_any(_VM, "VM.Config.Cloudinit", "VM.Config.Network"),
        origin=_CONFIG_ORIGIN,
    ),
    "cloudinit_regenerate": CallNeeds(endpoint=f"PUT {_QEMU}/cloudinit", checked=_all(_VM, "VM.Config.Cloudinit")),
    "cloudinit_dump": CallNeeds(endpoint=f"GET {_QEMU}/cloudinit/dump", checked=_all(_VM, "VM.Audit")),
    "config": _config("VM.Config.Options"),
    "config_cpu": _config("VM.Config.CPU"),
    "config_memory": _config("VM.Config.Memory"),
    "config_hwtype": _config("VM.Config.HWType"),
    "config_disk": _config("VM.Config.Disk", storage=True),
    "config_boot": _config("VM.Config.Disk"),
    "config_cdrom": _config("VM.Config.CDROM"),
    "config_net": CallNeeds(
        endpoint=f"PUT {_QEMU}/config",
        checked=_ANY_CONFIG,
        unlisted=(*_all(_VM, "VM.Config.Network"), *_all(_BRIDGE, "SDN.Use")),
        origin=_CONFIG_ORIGIN,
    ),
    "resize": CallNeeds(
        endpoint=f"PUT {_QEMU}/resize",
        storage=Kind.DISK_STORAGE,
        checked=_all(_VM, "VM.Config.Disk"),
        unlisted=_all(_STORE, "Datastore.AllocateSpace"),
        origin="measured: HTTP 200, and the task ends with 403",
    ),
    "template": CallNeeds(endpoint=f"POST {_QEMU}/template", checked=_all(_VM, "VM.Allocate")),
    "clone": CallNeeds(
        endpoint=f"POST {_QEMU}/clone",
        storage=Kind.DISK_STORAGE,
        checked=(
            *_all(_VM, "VM.Clone"),
            ((Right(_POOL, "VM.Allocate"),), (Right(_NEW, "VM.Allocate"),)),
        ),
        unlisted=(*_all(_STORE, "Datastore.AllocateSpace"), *_all(_BRIDGE, "SDN.Use")),
        origin="You also need 'Datastore.AllocateSpace' on any used storage and 'SDN.Use' on any used bridge/vnet",
    ),
    "destroy": CallNeeds(endpoint=f"DELETE {_QEMU}", checked=_all(_VM, "VM.Allocate")),
    "power": CallNeeds(endpoint=f"POST {_QEMU}/status/shutdown", checked=_all(_VM, "VM.PowerMgmt")),
    **{
        name: CallNeeds(endpoint=f"POST {_QEMU}/status/{name}", checked=_all(_VM, "VM.PowerMgmt"))
        for name in ("start", "stop", "reboot", "reset", "suspend", "resume")
    },
    "snapshot_list": CallNeeds(endpoint=f"GET {_QEMU}/snapshot", checked=_all(_VM, "VM.Audit")),
    "snapshot_feature": CallNeeds(endpoint=f"GET {_QEMU}/feature", checked=_all(_VM, "VM.Audit")),
    "snapshot": CallNeeds(endpoint=f"POST {_QEMU}/snapshot", checked=_all(_VM, "VM.Snapshot")),
    "snapshot_change": CallNeeds(
        endpoint=f"PUT {_QEMU}/snapshot/{{snapname}}/config", checked=_all(_VM, "VM.Snapshot")
    ),
    "snapshot_delete": CallNeeds(endpoint=f"DELETE {_QEMU}/snapshot/{{snapname}}", checked=_all(_VM, "VM.Snapshot")),
    "snapshot_rollback": CallNeeds(
        endpoint=f"POST {_QEMU}/snapshot/{{snapname}}/rollback",
        checked=_any(_VM, "VM.Snapshot", "VM.Snapshot.Rollback"),
    ),
    "backup": CallNeeds(
        endpoint="POST /nodes/{node}/vzdump",
        storage=Kind.BACKUP_STORAGE,
        unlisted=(*_all(_VM, "VM.Backup"), *_all(_STORE, "Datastore.AllocateSpace")),
        origin="The user needs 'VM.Backup' permissions on any VM, and 'Datastore.AllocateSpace' on the backup storage",
    ),
    "backup_prune": CallNeeds(
        endpoint="POST /nodes/{node}/vzdump",
        storage=Kind.BACKUP_STORAGE,
        unlisted=_all(_STORE, "Datastore.Allocate"),
        origin="The 'maxfiles' and 'prune-backups' settings require 'Datastore.Allocate' on the backup storage",
    ),
    "backup_list": CallNeeds(
        endpoint=f"GET {_CONTENT}",
        storage=Kind.BACKUP_STORAGE,
        checked=_any(_STORE, "Datastore.Audit", "Datastore.AllocateSpace"),
    ),
    "backup_delete": CallNeeds(
        endpoint=f"DELETE {_CONTENT}/{{volume}}",
        storage=Kind.BACKUP_STORAGE,
        unlisted=(*_all(_STORE, "Datastore.AllocateSpace"), *_all(_VM, "VM.Backup")),
        origin="measured: HTTP 403 without either",
    ),
    "backup_change": CallNeeds(
        endpoint=f"PUT {_CONTENT}/{{volume}}",
        storage=Kind.BACKUP_STORAGE,
        unlisted=(_READ_BACKUP,),
        origin="You need read access for the volume.; pve-storage PVE::Storage check_volume_access",
    ),
    "backup_config": CallNeeds(
        endpoint="GET /nodes/{node}/vzdump/extractconfig",
        storage=Kind.BACKUP_STORAGE,
        unlisted=(_READ_BACKUP,),
        origin="The user needs 'VM.Backup' permissions on the backed up guest ID, and 'Datastore.AllocateSpace' on "
        "the backup storage.; pve-storage PVE::Storage check_volume_access",
    ),
    "restore": CallNeeds(
        endpoint="POST /nodes/{node}/qemu",
        storage=Kind.DISK_STORAGE,
        unlisted=(*_all(_VM, "VM.Allocate", "VM.Config.Options"), *_all(_STORE, "Datastore.AllocateSpace")),
        origin="You need 'VM.Allocate' permissions on /vms/{vmid} or on the VM pool /pool/{pool}; " + _CONFIG_ORIGIN,
    ),
    "restore_net": CallNeeds(
        endpoint="POST /nodes/{node}/qemu",
        unlisted=_all(_BRIDGE, "SDN.Use"),
        origin="qemu-server PVE::QemuServer check_restore_permissions, of the networks in the archived config",
    ),
    "node_services": CallNeeds(endpoint="GET /nodes/{node}/services", checked=_all(_NODE, "Sys.Audit")),
    "node_updates": CallNeeds(endpoint="GET /nodes/{node}/apt/update", checked=_all(_NODE, "Sys.Modify")),
}

_AGENT_8: Mapping[str, str] = {
    "agent": f"POST {_QEMU}/agent/ping",
    "agent_network": f"GET {_QEMU}/agent/network-get-interfaces",
    "agent_exec": f"POST {_QEMU}/agent/exec",
    "agent_exec_status": f"GET {_QEMU}/agent/exec-status",
    "agent_read": f"GET {_QEMU}/agent/file-read",
    "agent_write": f"POST {_QEMU}/agent/file-write",
}
# qemu-server 9.0.3 took VM.Monitor away from the agent calls and split it.
_AGENT_9: Mapping[str, tuple[str, ...]] = {
    "agent": ("VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted"),
    "agent_network": ("VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted"),
    "agent_exec": ("VM.GuestAgent.Unrestricted",),
    "agent_exec_status": ("VM.GuestAgent.Unrestricted",),
    "agent_read": ("VM.GuestAgent.FileRead", "VM.GuestAgent.Unrestricted"),
    "agent_write": ("VM.GuestAgent.FileWrite", "VM.GuestAgent.Unrestricted"),
}

NEEDS: Mapping[int, Mapping[str, CallNeeds]] = {
    8: {
        **_COMMON,
        **{name: CallNeeds(endpoint=endpoint, checked=_all(_VM, "VM.Monitor")) for name, endpoint in _AGENT_8.items()},
    },
    9: {
        **_COMMON,
        **{
            name: CallNeeds(endpoint=endpoint, checked=_any(_VM, *_AGENT_9[name]))
            for name, endpoint in _AGENT_8.items()
        },
    },
}
"""PVE major version to call name to needs."""

_READ = ("see_vm", "see_storage", "see_pool", "read_vm")
_IMAGES = ("list_images", "download", "query_url", "upload", "image_delete")
_CLOUDINIT = ("cloudinit_drive", "cloudinit")
_CONFIG = (
    *("config", "config_cpu", "config_memory", "config_hwtype"),
    *("config_disk", "config_boot", "config_cdrom", "config_net", "resize"),
)
_BUILD = (*_READ, *_IMAGES, "create", "import", "net", *_CLOUDINIT, *_CONFIG, "template", "destroy")
_BOOT = ("read_status", "start", "stop", "power", "agent", "agent_network")
_EXEC = ("agent_exec", "agent_exec_status", "agent_read")
_CLONE = ("clone", "net", *_CLOUDINIT, *_CONFIG, "destroy")
_POWER = ("read_status", "start", "stop", "power", "reboot", "reset", "suspend", "resume")
_SNAPSHOTS = (
    *("snapshot_list", "snapshot_feature", "snapshot"),
    *("snapshot_change", "snapshot_delete", "snapshot_rollback"),
)

CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    "templates": _BUILD,
    "customise": (*_BUILD, *_BOOT, *_EXEC, "agent_write", "read_pending"),
    "prove": (*_READ, *_CLONE, *_BOOT, *_EXEC),
    "clones": (
        *(*_READ, *_CLONE, *_BOOT),
        *("list_vms", "read_pending", "reboot", "agent_read", "cloudinit_regenerate", "cloudinit_dump"),
    ),
    "backup": (
        *("see_vm", "see_storage", "read_vm", "backup", "backup_prune", "backup_list"),
        *("backup_delete", "backup_change", "backup_config", "restore", "restore_net", "config", "destroy"),
    ),
    "guests": ("see_vm", "see_pool", "read_vm", *_POWER, *_SNAPSHOTS, *_EXEC),
    "nodes": ("node_services",),
    "updates": ("node_updates",),
}
"""What a person may want to do, to the calls it takes."""

_ACCESS = "/access"
_GROUPS = "/access/groups"
_REALM = "/access/realm/{realm}"

ADMIN_NEEDS: Mapping[str, CallNeeds] = {
    "role_create": CallNeeds(endpoint="POST /access/roles", checked=_all(_ACCESS, "Sys.Modify")),
    "role_update": CallNeeds(endpoint="PUT /access/roles/{roleid}", checked=_all(_ACCESS, "Sys.Modify")),
    "role_delete": CallNeeds(endpoint="DELETE /access/roles/{roleid}", checked=_all(_ACCESS, "Sys.Modify")),
    "user_list": CallNeeds(
        endpoint="GET /access/users",
        unlisted=_any(_GROUPS, "User.Modify", "Sys.Audit"),
        origin="The returned list is restricted to users where you have 'User.Modify' or 'Sys.Audit' permissions on "
        "'/access/groups' or on a group the user belongs too.",
    ),
    "user_create": CallNeeds(
        endpoint="POST /access/users",
        checked=(*_all(_REALM, "Realm.AllocateUser"), *_all(_GROUPS, "User.Modify")),
    ),
    "user_update": CallNeeds(endpoint="PUT /access/users/{userid}", checked=_all(_GROUPS, "User.Modify")),
    "user_delete": CallNeeds(
        endpoint="DELETE /access/users/{userid}",
        checked=(*_all(_REALM, "Realm.AllocateUser"), *_all(_GROUPS, "User.Modify")),
    ),
    "token_create": CallNeeds(
        endpoint="POST /access/users/{userid}/token/{tokenid}", checked=_all(_GROUPS, "User.Modify")
    ),
    "token_update": CallNeeds(
        endpoint="PUT /access/users/{userid}/token/{tokenid}", checked=_all(_GROUPS, "User.Modify")
    ),
    "token_delete": CallNeeds(
        endpoint="DELETE /access/users/{userid}/token/{tokenid}", checked=_all(_GROUPS, "User.Modify")
    ),
    "acl": CallNeeds(endpoint="PUT /access/acl", checked=_all("{path}", "Permissions.Modify")),
    "ha_list": CallNeeds(endpoint="GET /cluster/ha/resources", checked=_all("/", "Sys.Audit")),
    "ha_create": CallNeeds(endpoint="POST /cluster/ha/resources", checked=_all("/", "Sys.Console")),
    "ha_update": CallNeeds(endpoint="PUT /cluster/ha/resources/{sid}", checked=_all("/", "Sys.Console")),
    "ha_delete": CallNeeds(endpoint="DELETE /cluster/ha/resources/{sid}", checked=_all("/", "Sys.Console")),
    "pool_move": CallNeeds(
        endpoint="PUT /pools",
        checked=_all(_POOL, "Pool.Allocate"),
        unlisted=_all(_VM, "VM.Allocate"),
        origin="You also need the right to modify permissions on any object you add/delete.; pve-access-control "
        "check_perm_modify takes the object's own VM.Allocate for it",
    ),
    "pool_create": CallNeeds(endpoint="POST /pools", checked=_all(_POOL, "Pool.Allocate")),
    "pool_delete": CallNeeds(endpoint="DELETE /pools", checked=_all(_POOL, "Pool.Allocate")),
}
"""What setting up the access itself takes, and what the least privileges do not hold; root@pam may all of it."""
