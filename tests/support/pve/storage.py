# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storages and the volumes on them: one shelf per node, or one for all nodes where the storage is shared."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from pathlib import Path

from fakepve.lxc import to_base
from fakepve.model import PveError, TaskError
from fakepve.routing import die, param_error, split_list
from fakepve.storage import _is_file, spec_of

from . import images
from .wire import now

GIB = 1024**3
SUBDIRS = {"iso": "template/iso", "vztmpl": "template/cache", "backup": "dump"}
CLONE_TYPES = frozenset({"zfspool", "rbd"})  # their linked clones name the base: base-N-disk-0/vm-M-disk-0
LINKED = re.compile(r"^(.*base-\d+-[^/]+)/(?:\d+/)?(?:vm|base)-\d+-[^/]+$")


@dataclass
class Volume:
    """One volume: ``size`` is the guest's disk size for images and the file's size for everything else (bytes)."""

    content: str
    format: str
    size: int
    ctime: int
    vmid: int | None = None
    used: int = 0
    parent: str | None = None
    path: Path | None = None
    notes: str | None = None
    protected: bool = False

    @property
    def virtual_size(self) -> int:
        """Bytes of the disk inside an image file."""
        return images.probe(self.path).virtual_size if self.path else self.size


def base_of(volname: str) -> str | None:
    """The base a linked clone's volume name refers to, e.g. ``9310/base-9310-disk-0.qcow2``."""
    found = LINKED.match(volname)
    return found.group(1) if found else None


class StorageMixin:
    """Mixin of FakeCluster: storages, their status and content."""

    def _init_storage(self) -> None:
        self.shelves: dict[tuple[str, str], dict[str, Volume]] = {}

    def _routes_zz_storage(self) -> list[tuple[str, str, t.Callable]]:
        return [("GET", "/nodes/{node}/storage/{storage}/status", self._ns_status)]

    # -------------------------------------------------------------- volumes

    def shelf(self, storage: str, node: str) -> dict[str, Volume]:
        """{volume name: Volume} of a storage as that node sees it."""
        key = (storage, "" if self.storages[storage].get("shared") else node)
        return self.shelves.setdefault(key, {})

    def volumes(self, node: str | None = None) -> dict[str, Volume]:
        """{volume id: Volume} of every storage that node (default: the first) can see."""
        node = node or next(iter(self.nodes))
        return {
            f"{storage}:{name}": volume
            for storage in self.storages
            if self._storage_enabled(storage, node)
            for name, volume in self.shelf(storage, node).items()
        }

    def volume(self, volid: str, node: str) -> Volume | None:
        storage, _unused, name = volid.partition(":")
        return self.shelf(storage, node).get(name) if storage in self.storages else None

    def put_file(self, volid: str, data: bytes, *, node: str | None = None) -> Volume:
        """Lay a file on a storage, e.g. ``local:import/x.qcow2``; on the first node unless one is named."""
        node = node or next(iter(self.nodes))
        storage, _unused, name = volid.partition(":")
        path = self.place(storage, node, name)
        path.write_bytes(data)
        return self.enter(storage, node, name, path)

    def place(self, storage: str, node: str, name: str) -> Path:
        """Where the bytes of a file volume lie on this machine."""
        folder = self.workdir / ("shared" if self.storages[storage].get("shared") else node) / storage
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def enter(self, storage: str, node: str, name: str, path: Path) -> Volume:
        """List a file that lies at ``path`` as a volume."""
        content, _unused, filename = name.partition("/")
        size = path.stat().st_size
        volume = Volume(content, file_format(content, filename), size, now(), used=size, path=path)
        owner = re.match(r"vzdump-\w+-(\d+)-", filename) if content == "backup" else None
        volume.vmid = int(owner.group(1)) if owner else None
        self.shelf(storage, node)[name] = volume
        return volume

    def allocate(
        self, node: str, storage: str, vmid: int, size: int, *, fmt: str | None = None, name: str | None = None,
        base: str | None = None, used: int = 0,
    ) -> str:  # fmt: skip
        """Make an image volume of ``size`` bytes; returns its volume id. ``base``: the base's volume name."""
        store = self._active_store(storage, node)
        files = _is_file(store)
        fmt = (fmt if fmt in formats(store) else default_format(store)) if files else "raw"
        name = name or self.free_name(storage, node, vmid)
        filled = size if store["type"] == "lvm" else used
        self.need_space(storage, node, filled)
        volname = f"{vmid}/{name}.{fmt}" if files else name
        if base and (files or store["type"] in CLONE_TYPES):
            volname = f"{base}/{volname}"
        parent = (f"../{base}" if files else f"{base}@__base__") if base and volname.startswith(base) else None
        self.shelf(storage, node)[volname] = Volume("images", fmt, size, now(), vmid, used=filled, parent=parent)
        return f"{storage}:{volname}"

    def free_name(self, storage: str, node: str, vmid: int) -> str:
        """The next free vm-N-disk-M (find_free_diskname looks at base volumes too)."""
        pattern = re.compile(rf"(?:^|/)(?:vm|base)-{vmid}-disk-(\d+)")
        taken = {int(found.group(1)) for name in self.shelf(storage, node) if (found := pattern.search(name))}
        number = next(n for n in range(10_000) if n not in taken)
        return f"vm-{vmid}-disk-{number}"

    def free(self, volid: str, node: str) -> str | None:
        """Delete a volume; returns the log line of the storage, None for a volume that was not there."""
        storage, _unused, name = volid.partition(":")
        if storage not in self.storages:
            return None
        volume = self.shelf(storage, node).pop(name, None)
        if volume is None:
            return None
        if volume.path:
            volume.path.unlink(missing_ok=True)
        if self.storages[storage]["type"] in ("lvm", "lvmthin"):
            return f'  Logical volume "{name}" successfully removed.'
        return ""

    def make_base(self, volid: str, node: str) -> tuple[str, str | None]:
        """vdisk_create_base: (new volume id, log line); a storage without the feature leaves the volume alone."""
        storage, _unused, name = volid.partition(":")
        store = self.storages[storage]
        new = name if store["type"] == "lvm" else to_base(name)
        if new == name:
            return volid, None
        shelf = self.shelf(storage, node)
        if name in shelf:
            shelf[new] = shelf.pop(name)
        line = f'  Renamed "{name}" to "{new}" in volume group "{store.get("vgname")}"'
        return f"{storage}:{new}", line if store["type"] == "lvmthin" else None

    def dependants(self, volid: str, node: str) -> list[str]:
        """Volume ids of the linked clones that the storage itself knows of (LVM-thin knows none)."""
        storage, _unused, name = volid.partition(":")
        return [f"{storage}:{other}" for other in self.shelf(storage, node) if base_of(other) == name]

    # ---------------------------------------------------------------- space

    def space(self, storage: str, node: str) -> tuple[int, int, int]:
        """(total, used, available) in bytes; ``total`` and ``occupied`` may be set on the storage."""
        store = self.storages[storage]
        total = store.get("total", 100 * GIB)
        used = store.get("occupied", 0) + sum(volume.used for volume in self.shelf(storage, node).values())
        return total, used, max(total - used, 0)

    def need_space(self, storage: str, node: str, size: int) -> None:
        """Raises PveError when the storage is full; the texts are lvcreate's and qemu-img's own, not recorded ones."""
        if size <= self.space(storage, node)[2]:
            return
        store = self.storages[storage]
        if store["type"] == "lvm":
            group, need = store.get("vgname"), -(-size // (4 * 1024**2))
            have = self.space(storage, node)[2] // (4 * 1024**2)
            text = f'  Volume group "{group}" has insufficient free space ({have} extents): {need} required.'
            raise die(f"lvcreate '{group}/disk' error: {text}")
        raise die("copy failed: qemu-img: error while writing at byte 0: No space left on device")

    def _status_item(self, name: str, node: str, formats: bool = False) -> dict[str, t.Any]:
        store = self.storages[name]
        enabled = self._storage_enabled(name, node)
        active = bool(enabled and store.get("active", 1))
        total, used, avail = self.space(name, node) if active else (0, 0, 0)
        return {
            "type": store["type"], "content": store.get("content", ""), "enabled": int(enabled), "active": int(active),
            "shared": int(bool(store.get("shared"))), "total": total, "used": used, "avail": avail,
        }  # fmt: skip

    @staticmethod
    def _options_of(store: dict[str, t.Any]) -> dict[str, t.Any]:
        hidden = {"files", "avail", "active", "volumes", "total", "occupied"}
        return {key: value for key, value in store.items() if key not in hidden}

    # -------------------------------------------------------------- content

    async def _content_list(self, v: dict, user: str) -> list[dict]:
        storage, node = v["storage"], v["node"]
        store = self._active_store(storage, node)
        allowed = split_list(store.get("content"))
        out = []
        for name, volume in self.shelf(storage, node).items():
            volid = f"{storage}:{name}"
            if volume.content not in allowed or v.get("content", volume.content) != volume.content:
                continue
            if v.get("vmid") is not None and volume.vmid != int(v["vmid"]):
                continue
            try:
                self._check_access(user, storage, volume.content, volume.vmid, volid)
            except PveError:
                continue
            out.append(listed(store, volid, volume))
        return sorted(out, key=lambda item: item["volid"])

    async def _content_info(self, v: dict, user: str) -> dict:
        storage, name, volid, store, vtype, owner, _fmt = self._volume_target(v)
        self._check_access(user, storage, vtype, owner, volid)
        volume = self.shelf(storage, v["node"]).get(name)
        if volume is None:
            raise die(f"volume_size_info on '{volid}' failed - no format")
        size, used = volume.size, volume.used
        if volume.content == "snippets":  # a text file is reported as a raw image (recorded: 17 bytes -> 512, 4096)
            size, used = -(-size // 512) * 512, -(-size // 4096) * 4096
        fmt = volume.format if volume.format in ("qcow2", "vmdk") else "raw"
        info = {"path": self._volume_path(storage, name, vtype), "size": size, "used": used, "format": fmt}
        if volume.notes is not None:
            info["notes"] = volume.notes
        if vtype == "backup":
            info["protected"] = int(volume.protected)
        return info

    async def _content_put(self, v: dict, user: str) -> None:
        storage, name, volid, _store, vtype, owner, _fmt = self._volume_target(v)
        self._check_access(user, storage, vtype, owner, volid)
        volume = self.shelf(storage, v["node"]).get(name)
        if volume is None:
            raise die(f"volume_size_info on '{volid}' failed - no format")
        if vtype != "backup":
            raise die("only backups can have notes")
        if "notes" in v:
            volume.notes = v["notes"] or None
        if "protected" in v:
            volume.protected = bool(v["protected"])

    async def _content_create(self, v: dict, user: str) -> str:
        stem = re.sub(r"\.(raw|qcow2|vmdk)$", "", v["filename"])
        found = re.fullmatch(r"(\d+)([MG]?)", str(v["size"]))
        if not found:
            raise param_error(size=f"unable to parse size '{v['size']}'")
        size = int(found.group(1)) * {"": 1024, "M": 1024**2, "G": GIB}[found.group(2)]
        return self.allocate(v["node"], v["storage"], int(v["vmid"]), size, fmt=v.get("format"), name=stem)

    async def _content_delete(self, v: dict, user: str) -> str | None:
        storage, name, volid, _store, vtype, owner, _fmt = self._volume_target(v)
        node = v["node"]
        if vtype == "backup" and owner:
            self.require(user, "/storage/" + storage, "Datastore.AllocateSpace")
            self.require(user, f"/vms/{owner}", "VM.Backup")
        else:
            self.require(user, "/storage/" + storage, "Datastore.Allocate")

        async def body(log: list[str]) -> None:
            volume = self.shelf(storage, node).get(name)
            if volume and volume.protected:
                raise TaskError(f"cannot remove protected volume '{name}' on '{storage}'")
            if self.dependants(volid, node):
                raise TaskError(f"base volume '{name}' is still in use by linked clones")
            line = self.free(volid, node)
            if line:
                log.append(line)
            log.append(f"Removed volume '{volid}'")

        upid = await self.run_task(node, "imgdel", f"{owner}@{storage}" if owner else storage, user, body)
        if v.get("delay") and self.tasks[upid]["status"] == "stopped":
            status = self.tasks[upid]["exitstatus"]
            if status != "OK":
                raise die(status)
            return None
        return upid

    def _can_audit(self, user: str, name: str) -> bool:
        return any(
            self.allowed(user, "/storage/" + name, priv) for priv in ("Datastore.Audit", "Datastore.AllocateSpace")
        )


def formats(store: dict[str, t.Any]) -> list[str]:
    """The image formats a storage can hold."""
    return (spec_of(store) or {}).get("formats") or ["raw"]


def default_format(store: dict[str, t.Any]) -> str:
    return store.get("format") or (spec_of(store) or {}).get("format") or "raw"


def file_format(content: str, filename: str) -> str:
    """The ``format`` that the content listing shows for a file (recorded)."""
    if content == "vztmpl":
        return "t" + filename.rsplit(".", 1)[-1]
    if content == "backup":
        return filename.split(".", 1)[-1]
    return {"iso": "iso", "snippets": "snippet"}.get(content, filename.rsplit(".", 1)[-1])


def listed(store: dict[str, t.Any], volid: str, volume: Volume) -> dict[str, t.Any]:
    """One row of the content listing; ``ctime`` of block storages is a text (recorded)."""
    row: dict[str, t.Any] = {"volid": volid, "content": volume.content, "format": volume.format, "size": volume.size}
    files = _is_file(store)
    row["ctime"] = volume.ctime if files else str(volume.ctime)
    if volume.vmid is not None:
        row["vmid"] = volume.vmid
    if volume.content == "images" and (files or store["type"] in CLONE_TYPES):
        row["parent"] = volume.parent
    if volume.content == "images" and files:
        row["used"] = volume.used or 200_704
    if volume.content == "backup":
        row["subtype"] = "qemu"
        if volume.notes is not None:
            row["notes"] = volume.notes.partition("\n")[0]
        if volume.protected:
            row["protected"] = 1
    return row
