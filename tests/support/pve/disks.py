# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drives: what the server checks before it forks, what the worker then allocates, imports, copies and frees."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from fakepve.lxc import format_size
from fakepve.model import PveError, TaskError
from fakepve.qemu import NEW_DISK, is_cdrom, join_drive, split_drive, volume_ref
from fakepve.routing import die, param_error, split_list
from fakepve.storage import _is_file

from . import images
from .storage import Volume, formats
from .vm import Vm, is_cloudinit

MIB = 1024**2
GIB = 1024**3
IMPORT_SYNTAX = "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>"
# Line 581 of the recorded server's Storage.pm.
ROOT_PATH = "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 581."
QCOW2 = "fmt=qcow2 cluster_size=65536 extended_l2=off"
# KiB: OVMF variables (4m type) and the TPM's state.
FIXED = {"efidisk0": 528, "tpmstate0": 4096}


@dataclass
class Work:
    """What a worker is doing: to which VM, with which log; ``made`` are the volumes to free when it fails."""

    vm: Vm
    log: list[str]
    made: list[str] = field(default_factory=list)
    default: str | None = None


class DisksMixin:
    """Mixin of FakeCluster: the life of a drive."""

    # ---------------------------------------------------------------- checks

    def check_drive(self, user: str, node: str, key: str, value: str, default: str | None) -> None:
        """Everything that is refused by HTTP, before a worker starts."""
        volume, props = split_drive(value)
        source = props.get("import-from")
        if volume in ("", "none", "cdrom"):
            return
        found = NEW_DISK.match(volume)
        if source and not (found and float(found.group(2)) == 0):
            raise param_error(**{key: IMPORT_SYNTAX})
        if is_cloudinit(volume) and volume.endswith(":cloudinit"):
            self.need_image_storage(user, volume.split(":")[0], node)
        elif found and not is_cdrom(volume, props):
            self.need_image_storage(user, found.group(1) or default or no_storage(), node)
            if source:
                self.check_source(user, node, key, source)
        elif volume.startswith("/"):
            if user != "root@pam":
                raise die(ROOT_PATH)
        else:
            self.check_existing(user, node, key, volume, props)

    def need_image_storage(self, user: str, storage: str, node: str) -> None:
        """The target of a new disk: it exists, the user may allocate there, it takes images."""
        self.require(user, "/storage/" + storage, "Datastore.AllocateSpace")
        store = self._check_enabled(storage, node)
        if "images" not in split_list(store.get("content")):
            raise param_error(storage=f"storage '{storage}' does not support vm images")

    def check_source(self, user: str, node: str, key: str, source: str) -> None:
        """The source of import-from; that the file exists is only seen by the worker."""
        if source.startswith("/"):
            if user != "root@pam":
                raise die(ROOT_PATH)
            return
        storage, name = volume_ref(source)
        if storage is None:
            raise param_error(**{key: f"unable to parse volume ID '{source}'"})
        store = self._check_enabled(storage, node)
        vtype, owner, _fmt = self._parse_volname(store, name)
        if vtype not in ("images", "import"):
            raise param_error(**{key: f"{source} has wrong type '{vtype}' - needs to be 'images' or 'import'"})
        if vtype == "images":
            self.require(user, f"/vms/{owner}", "VM.Clone")
        else:
            self._check_access(user, storage, vtype, owner, source)

    def check_existing(self, user: str, node: str, key: str, volume: str, props: dict[str, str]) -> None:
        """A volume that is attached as it is: an ISO or an image the user may use."""
        storage, name = volume_ref(volume)
        if storage is None:
            raise die(f"unable to parse volume ID '{volume}'")
        store = self._check_enabled(storage, node)
        vtype, owner, _fmt = self._parse_volname(store, name)
        if vtype not in ("images", "iso"):
            raise param_error(**{key: "content type needs to be 'images' or 'iso'"})
        if vtype == "iso" and not is_cdrom(volume, props):
            raise param_error(**{key: "explicit 'media=cdrom' is required for iso images"})
        if vtype == "iso":
            self._check_access(user, storage, vtype, owner, volume)

    def _parse_volname(self, store: dict[str, t.Any], volname: str) -> tuple[str, int | None, str]:
        """fakepve's parser does not know linked clones; their own part is what counts."""
        linked = re.match(r"^.*base-\d+-[^/]+/((?:\d+/)?(?:vm|base)-\d+-[^/]+)$", volname)
        return super()._parse_volname(store, linked.group(1) if linked else volname)

    # ------------------------------------------------------------------ make

    def make_drive(self, work: Work, key: str, value: str) -> str:
        """Allocate, import or look up one drive; returns its config value."""
        volume, props = split_drive(value)
        props = dict(props)
        source = props.pop("import-from", None)
        if volume in ("", "none", "cdrom"):
            props.pop("size", None)
            return join_drive(volume, props)
        found = NEW_DISK.match(volume)
        if volume.endswith(":cloudinit"):
            volid = self.make_cloudinit(work, volume.split(":")[0], props.pop("format", None))
            props["media"] = "cdrom"
        elif found and not is_cdrom(volume, props):
            storage, fmt = found.group(1) or work.default, props.pop("format", None)
            volid, size = (
                self.import_disk(work, storage, source, fmt)
                if source
                else self.new_disk(work, key, storage, float(found.group(2)), fmt)
            )
            props["size"] = format_size(size)
        else:
            return self.attach(work.vm, volume, props)
        work.made.append(volid)
        done = join_drive(volid, props)
        work.log.append(f"{key}: successfully created disk '{done}'")
        return done

    def make_cloudinit(self, work: Work, storage: str, fmt: str | None) -> str:
        """The drive of 4 MiB; a VM has one only, so the name is fixed."""
        fmt = (fmt or "qcow2") if _is_file(self.storages[storage]) else "raw"
        vm = work.vm
        volid = self.allocate(vm.node, storage, vm.vmid, 4 * MIB, fmt=fmt, name=f"vm-{vm.vmid}-cloudinit", used=266_240)
        work.log.extend(self.allocation_lines(volid, vm.node))
        return volid

    def new_disk(self, work: Work, key: str, storage: str, gib: float, fmt: str | None) -> tuple[str, int]:
        """An empty disk, or the variables of OVMF and the TPM, whose sizes are fixed."""
        vm = work.vm
        size = FIXED[key] * 1024 if key in FIXED else int(gib * GIB)
        if not _is_file(self.storages[storage]):
            size = -(-size // (4 * MIB)) * 4 * MIB  # logical volumes are rounded up to extents
        volid = self.allocate(vm.node, storage, vm.vmid, size, fmt=fmt, used=200_704)
        work.log.extend(self.allocation_lines(volid, vm.node))
        return volid, size

    def import_disk(self, work: Work, storage: str, source: str, fmt: str | None) -> tuple[str, int]:
        """Copy a file or a volume into a new disk of the source's virtual size."""
        vm, log = work.vm, work.log
        size, used, hint = self.source_of(source, vm.node)
        log.append(f"create full clone of drive ({source})")
        volid = self.allocate(vm.node, storage, vm.vmid, size, fmt=fmt or hint, used=used)
        log.extend([*self.allocation_lines(volid, vm.node), *transfer_lines(size)])
        self.filled(work, volid, source)
        return volid, size

    def filled(self, work: Work, volid: str, source: str) -> None:
        """Fill a disk that was made for an import; a failure frees it."""
        work.made.append(volid)
        self.fill(volid, work.vm.node, self.volume(source, work.vm.node))
        work.made.remove(volid)

    def fill(self, volid: str, node: str, source: Volume | None) -> None:
        """Copy the data of ``source`` into a new volume: a hook for those whose volumes hold data."""

    def source_of(self, source: str, node: str) -> tuple[int, int, str]:
        """(virtual size, bytes of data, format) of an import source; raises what the worker dies of."""
        storage, name = volume_ref(source)
        if storage is None:
            raise die(f"failed to stat '{source}'")  # no file system behind the fake
        volume = self.shelf(storage, node).get(name)
        vtype = self._parse_volname(self.storages[storage], name)[0]
        path = self._volume_path(storage, name, vtype)
        if volume is None:
            raise die(f"failed to stat '{path}'")
        if volume.path is None:
            return volume.size, volume.used, volume.format
        seen = images.probe(volume.path)
        if volume.format == "raw":
            return volume.size, volume.used, "raw"  # read as raw, whatever it holds (measured: it would not boot)
        if seen.format != volume.format:
            raise die(f"qemu-img: Could not open '{path}': Image is not in {volume.format} format")
        return seen.virtual_size, volume.used, volume.format

    def attach(self, vm: Vm, volume: str, props: dict[str, str]) -> str:
        """An existing volume: its size is read from the storage."""
        if volume.startswith("/"):
            return join_drive(volume, props)
        found = self.volume(volume, vm.node)
        if found is None:
            raise die(f"volume {volume} does not exist")
        props.pop("format", None)
        if not is_cloudinit(volume):
            props["size"] = format_size(found.size)
        return join_drive(volume, props)

    def allocation_lines(self, volid: str, node: str) -> list[str]:
        """What the storage's tools print for a new volume."""
        storage, _unused, name = volid.partition(":")
        store = self.storages[storage]
        if store["type"] in ("lvm", "lvmthin"):
            return [f'  Logical volume "{name}" created.']
        if not _is_file(store):
            return []
        volume = self.shelf(storage, node)[name]
        path, size = self._volume_path(storage, name, "images"), volume.size
        if volume.format == "raw":
            return [f"Formatting '{path}', fmt=raw size={size} preallocation=off"]
        tail = f"compression_type=zlib size={size} lazy_refcounts=off refcount_bits=16"
        return [f"Formatting '{path}', {QCOW2} preallocation=metadata {tail}"]

    # -------------------------------------------------------------- take away

    def drop_drive(self, vm: Vm, key: str, value: str) -> None:
        """A slot loses its drive: cloud-init drives and unusedN are freed, an image becomes unusedN, an ISO stays."""
        volume, props = split_drive(value)
        if key.startswith("unused") or is_cloudinit(volume):
            if self.dependants(volume, vm.node):
                raise die(f"unable to delete '{volume}' - volume is still in use (snapshot?)")
            self.free(volume, vm.node)
        elif not is_cdrom(volume, props) and volume_ref(volume)[0]:
            vm.add_unused(volume)

    def grow(self, vm: Vm, key: str, text: str, log: list[str]) -> None:
        """PUT resize: absolute or ``+`` sizes; smaller dies, the same size is a success (recorded)."""
        if key not in vm.config:
            raise TaskError(f"disk '{key}' does not exist")
        volume, props = split_drive(vm.config[key])
        found = self.volume(volume, vm.node)
        if found is None:
            raise TaskError(f"disk '{key}' has no associated volume")
        if is_cdrom(volume, props):
            raise TaskError("you can't resize a cdrom")
        size = found.size * text.startswith("+") + bytes_of(text.removeprefix("+"))
        if size < found.size:
            raise TaskError("shrinking disks is not supported")
        if size == found.size:
            return
        storage, name = volume_ref(volume)
        store = self.storages[storage]
        if store["type"] == "lvm":
            self.need_space(storage, vm.node, size - found.size)
            found.used = size
        log.extend(resize_lines(store, name, found.size, size))
        found.size = size
        vm.config[key] = join_drive(volume, {**props, "size": format_size(size)})


def no_storage() -> t.NoReturn:
    raise die("no storage ID specified (and no default storage)")


def bytes_of(text: str) -> int:
    """``3G`` in bytes; a bare number is bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", text)
    if not found:
        raise PveError(400, "Parameter verification failed.", {"size": "value does not match the regex pattern"})
    return int(float(found.group(1)) * 1024 ** " KMGT".index(found.group(2) or " "))


def human(size: int) -> str:
    """A size as qemu-img's progress writes it."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.1f} MiB"


def transfer_lines(size: int) -> list[str]:
    text = human(size)
    return [f"transferred 0.0 B of {text} (0.00%)", f"transferred {text} of {text} (100.00%)"]


def resize_lines(store: dict[str, t.Any], name: str, old: int, new: int) -> list[str]:
    """The output of lvextend, or of qemu-img resize."""
    if store["type"] not in ("lvm", "lvmthin"):
        return ["Image resized."] if "qcow2" in formats(store) else []
    extent, group = 4 * MIB, store.get("vgname")
    before, after = (f"{size / GIB:.2f} GiB ({size // extent} extents)" for size in (old, new))
    return [
        f"  Size of logical volume {group}/{name} changed from {before} to {after}.",
        f"  Logical volume {group}/{name} successfully resized.",
    ]
