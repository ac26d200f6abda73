# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Permission rules: the declarative ones of the API description, and those the server has only in its code.

The latter follow PVE/API2/Qemu.pm (`$check_vm_modify_config_perm`, `$check_storage_access`, `$update_vm_api`),
PVE/Storage.pm `check_volume_access` and PVE/API2/VZDump.pm; the outcome was compared with the refusals recorded on
8.4.21.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from fakepve.model import PveError
from fakepve.qemu import DRIVE_KEY, NEW_DISK, is_cdrom, split_drive
from fakepve.routing import split_list

from .access_model import ROOT, AccessModel, denied, modifiers, normalized

# Privilege -> the config options that need it ($cpuoptions, $memoryoptions ... of Qemu.pm).
OPTION_PRIVILEGES = {
    "VM.Config.CPU": r"cores|cpu|cpulimit|cpuunits|numa\d*|smp|sockets|vcpus|runningcpu",
    "VM.Config.Memory": r"memory|balloon|shares|allow-ksm",
    "VM.Config.HWType": r"acpi|hotplug|kvm|machine|runningmachine|scsihw|smbios1|tablet|vga|watchdog|audio0|rng0",
    "VM.Config.Options": r"agent|autostart|bios|description|keyboard|localtime|migrate_downtime|migrate_speed|name|"
    r"onboot|ostype|protection|reboot|startdate|startup|tdf|template",
    "VM.PowerMgmt": r"freeze",
    "VM.Config.Disk": r"boot|bootdisk|vmstatestorage",
    "VM.Config.Network": r"net\d+|running-nets-host-mtu",
}
CLOUDINIT = r"cicustom|cipassword|citype|ciuser|ciupgrade|nameserver|searchdomain|sshkeys|ipconfig\d+"
NOT_CONFIG = (
    r"node|vmid|digest|delete|revert|force|skiplock|skip_cloud_init|background_delay|import-working-storage|archive|"
    r"storage|unique|live-restore|pool|bwlimit|start|ha-managed"
)
# Where the value decides: these have checks of their own.
BY_VALUE = re.compile(r"(unused|serial|usb|hostpci|virtiofs)\d+")
ROOT_PATH = "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 581."


class Guests(t.Protocol):
    """What the rules have to know of the cluster."""

    def guest_config(self, vmid: int) -> t.Mapping[str, t.Any] | None: ...

    def knows_option(self, key: str) -> bool: ...

    def tags_are_checked_at_creation(self) -> bool: ...


@dataclass
class Scope:
    """One request: who asks, with which typed parameters."""

    model: AccessModel
    guests: Guests
    user: str
    values: dict[str, t.Any]

    def check(self, path: str, *privs: str, either: bool = False) -> None:
        self.model.check(self.user, path, *privs, either=either)

    def guest(self, vmid: object, pool: str | None, *privs: str, either: bool = False) -> None:
        """check_vm_perm: on the pool a new VM will be in, else on the VM."""
        if not (pool and self.model.has(self.user, f"/pool/{pool}", *privs, either=either)):
            self.check(f"/vms/{vmid}", *privs, either=either)

    def config(self, vmid: object) -> t.Mapping[str, t.Any]:
        return self.guests.guest_config(int(str(vmid))) or {}

    def options(self) -> dict[str, str]:
        return {key: str(value) for key, value in sorted(self.values.items()) if not re.fullmatch(NOT_CONFIG, key)}


# --------------------------------------------------------------- declarative


def declared(model: AccessModel, rule: t.Mapping[str, t.Any] | None, user: str, params: t.Mapping[str, t.Any]) -> None:
    """Apply the ``permissions`` of a method (check_api2_permissions); raises the refusal."""
    if user == ROOT:
        return
    if rule is None:
        raise denied("user != root@pam")
    if rule.get("user") == "all":
        return
    if "check" not in rule:
        raise denied()
    _run(model, rule["check"], user, params, quiet=False)


def _run(model: AccessModel, rule: list, user: str, params: t.Mapping[str, t.Any], quiet: bool) -> bool:
    match rule[0]:
        case "and":
            for part in rule[1:]:
                _run(model, part, user, params, quiet=False)
            return True
        case "or":
            return any(_run(model, part, user, params, quiet=True) for part in rule[1:]) or _no(quiet)
        case "perm":
            return _perm(model, rule, user, params, quiet)
        case "userid-param":
            return _userid_param(model, rule[1], user, str(params.get("userid", "")), quiet)
        case "userid-group":
            return _userid_group(model, rule, user, params, quiet)
        case "perm-modify":
            path = normalized(_fill(rule[1], params))
            return path is not None and (
                model.may_modify(user, path) or _no(quiet, f"{path}, {'|'.join(modifiers(path))}")
            )
    raise ValueError(f"unknown permission test {rule[0]}")


def _no(quiet: bool, why: str = "") -> bool:
    if not quiet:
        raise denied(why)
    return False


def _fill(template: str, params: t.Mapping[str, t.Any]) -> str:
    return re.sub(r"\{([\w-]+)\}", lambda found: str(params.get(found.group(1), "")), template)


def _perm(model: AccessModel, rule: list, user: str, params: t.Mapping[str, t.Any], quiet: bool) -> bool:
    options = dict(zip(rule[3::2], rule[4::2], strict=True))
    if options.get("require_param") and params.get(options["require_param"]) is None:
        return _no(quiet)
    path = normalized(_fill(rule[1], params))
    if quiet:
        return model.has(user, path, *rule[2], either=bool(options.get("any")))
    model.check(user, path, *rule[2], either=bool(options.get("any")))
    return True


def _userid_param(model: AccessModel, test: str, user: str, userid: str, quiet: bool) -> bool:
    if test == "self":
        if userid not in model.users:
            if not quiet:
                model.user(userid)
            return False
        return user == userid or _no(quiet)
    path = "/access/realm/" + userid.rpartition("@")[2]
    if quiet:
        return model.has(user, path, test)
    model.check(user, path, test)
    return True


def _userid_group(model: AccessModel, rule: list, user: str, params: t.Mapping[str, t.Any], quiet: bool) -> bool:
    privs, options = rule[1], dict(zip(rule[2::2], rule[3::2], strict=True))
    userid, existing = str(params.get("userid", "")), options.get("groups_param") != "create"
    if existing and userid not in model.users:
        if not quiet:
            model.user(userid)
        return False
    if model.has(user, "/access/groups", *privs, either=True):
        return True
    mine = {name for name in model.groups if model.has(user, f"/access/groups/{name}", *privs, either=True)}
    if options.get("groups_param"):
        wanted = split_list(params.get("groups"))
        if not wanted:
            raise denied(f"/access/groups, {'|'.join(privs)}")
        for name in wanted:
            if name not in mine:
                raise denied(f"/access/groups/{name}, {'|'.join(privs)}")
    if existing and not any(userid in model.groups[name].users for name in mine):
        return _no(quiet)
    return True


# -------------------------------------------------------------- config options


def need_for_option(scope: Scope, vmid: object, pool: str | None, key: str) -> None:
    """The privilege to set or delete one option whose value does not matter."""
    if DRIVE_KEY.match(key) or key in ("cdrom", "tags") or BY_VALUE.fullmatch(key):
        return
    for priv, options in OPTION_PRIVILEGES.items():
        if re.fullmatch(options, key):
            scope.guest(vmid, pool, priv)
            if key == "startup":
                scope.check("/", "Sys.Modify")
            return
    if re.fullmatch(CLOUDINIT, key):
        scope.guest(vmid, pool, "VM.Config.Cloudinit", "VM.Config.Network", either=True)
    elif key == "vmstate":
        scope.guest(vmid, pool, "VM.Config.Disk", "VM.PowerMgmt")
    else:
        raise PveError(500, f"only root can set '{key}' config")


def need_for_device(scope: Scope, guest: tuple[object, str | None], key: str, value: str, verb: str = "set") -> None:
    """Ports and devices: emulated or mapped ones by privilege, real ones for root@pam alone."""
    kind = key.rstrip("0123456789")
    vmid, pool = guest
    if kind == "serial":
        if value != "socket":
            raise PveError(500, f"only root can {verb} '{key}' config for real devices")
        scope.guest(vmid, pool, "VM.Config.HWType")
    elif kind in ("usb", "hostpci"):
        mapping = re.search(r"mapping=([^,]+)", value)
        if kind == "usb":
            scope.guest(vmid, pool, "VM.Config.HWType")
        if mapping:
            scope.check(f"/mapping/{'usb' if kind == 'usb' else 'pci'}/{mapping.group(1)}", "Mapping.Use")
            scope.guest(vmid, pool, "VM.Config.HWType")
        elif "spice" not in value:
            real = "real" if kind == "usb" else "non-mapped"
            raise PveError(500, f"only root can set '{key}' config for {real} devices")
    elif kind == "virtiofs":
        scope.guest(vmid, pool, "VM.Config.Disk")
        scope.check(f"/mapping/dir/{value.split(',', maxsplit=1)[0].removeprefix('dirid=')}", "Mapping.Use")


def need_for_bridge(scope: Scope, value: str) -> None:
    """SDN.Use on the bridge, or on its VLAN when there is a tag."""
    bridge, tag = re.search(r"bridge=([^,]+)", value), re.search(r"\btag=(\d+)", value)
    if bridge:
        vlan = f"/{tag.group(1)}" if tag else ""
        scope.check(f"/sdn/zones/localnetwork/{bridge.group(1)}{vlan}", "SDN.Use")


def need_for_drives(scope: Scope, vmid: object, options: t.Mapping[str, str], default: str | None) -> None:
    """check_storage_access: the target of a new disk, read access to an existing volume and to an import source."""
    for key, value in options.items():
        if not DRIVE_KEY.match(key):
            continue
        volume, props = split_drive(value)
        new = NEW_DISK.match(volume)
        if volume in ("", "none", "cloudinit") or volume.endswith(":cloudinit"):
            pass
        elif volume == "cdrom":
            scope.check("/", "Sys.Console")
        elif new and not is_cdrom(volume, props):
            storage = new.group(1) or default
            if not storage:
                raise PveError(500, "no storage ID specified (and no default storage)")
            scope.check(f"/storage/{storage}", "Datastore.AllocateSpace")
        else:
            need_for_volume(scope, vmid, volume)
        source = props.get("import-from")
        if source:
            kind, owner = volume_kind(source)
            if kind == "images" and owner is not None:
                scope.check(f"/vms/{owner}", "VM.Clone")
            else:
                need_for_volume(scope, vmid, source)


def volume_kind(volid: str) -> tuple[str, int | None]:
    """Content type and owner of a volume id, by its name alone."""
    name = volid.partition(":")[2]
    folder = name.partition("/")[0]
    if folder in ("iso", "vztmpl", "import", "snippets"):
        return folder, None
    if folder == "backup":
        found = re.search(r"vzdump-\w+-(\d+)-", name)
        return "backup", int(found.group(1)) if found else None
    owners = re.findall(r"(?:^|/)(\d+)/|(?:^|/)(?:vm|base|subvol|basevol)-(\d+)-", name)
    return "images", int(owners[-1][0] or owners[-1][1]) if owners else None


def need_for_volume(scope: Scope, vmid: object, volid: str) -> None:
    """check_volume_access: read access; a path instead of a volume id is for root@pam alone, not for its tokens."""
    if volid.startswith("/") or ":" not in volid:
        raise PveError(500, ROOT_PATH)
    path = "/storage/" + volid.partition(":")[0]
    kind, owner = volume_kind(volid)
    if scope.model.has(scope.user, path, "Datastore.Allocate"):
        return
    if kind in ("iso", "vztmpl", "import"):
        scope.check(path, "Datastore.AllocateSpace", "Datastore.Audit", either=True)
    elif owner is not None and str(owner) == str(vmid):
        return
    elif kind == "backup" and owner:
        scope.check(path, "Datastore.AllocateSpace")
        scope.check(f"/vms/{owner}", "VM.Backup")
    elif kind == "images" and owner:
        scope.check(path, "Datastore.Audit")
        scope.check(f"/vms/{owner}", "VM.Config.Disk")
    else:
        raise PveError(500, f"missing privileges to access {volid}")
