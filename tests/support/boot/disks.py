# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that are files: made, copied, linked, grown and renamed with qemu-img."""

from __future__ import annotations

import typing as t
from pathlib import Path

from fakepve.model import TaskError
from fakepve.storage import _is_file

from ..pve import images
from ..pve.storage import Volume
from ..pve.vm import Vm, is_cloudinit
from . import cidata
from .tools import ToolError, run
from .turns import slow


class DisksMixin:
    """Mixin of LabCluster: what the fake only writes down happens.

    Names of volumes and files are those of the storage. On block storages a volume is a qcow2 file nonetheless, so that
    it is thin and a linked clone can hang on it; only cloud-init drives are raw there.
    """

    home: Path

    def place(self, storage: str, node: str, name: str) -> Path:
        """Below the lab's own folder; the part of a linked clone's name that names its base is no folder."""
        folder = self.home / ("shared" if self.storages[storage].get("shared") else node) / storage
        if not name.startswith(("import/", "iso/", "backup/", "snippets/", "vztmpl/")):
            parts = name.split("/")
            name = "images/" + "/".join(parts[-2:] if _is_file(self.storages[storage]) else parts[-1:])
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def allocate(
        self, node: str, storage: str, vmid: int, size: int, *, base: str | None = None, **options: t.Any
    ) -> str:
        """An image volume and its file; with ``base`` an overlay over that volume's file."""
        volid = super().allocate(node, storage, vmid, size, base=base, **options)
        name = volid.partition(":")[2]
        volume = self.shelf(storage, node)[name]
        path = self.place(storage, node, name)
        form = self.form(volume, volid)
        argv: list[str | Path] = ["qemu-img", "create", "-q", "-f", form]
        if base:
            origin = self.shelf(storage, node)[base]
            assert origin.path is not None
            folders = ".." if _is_file(self.storages[storage]) else "."
            shown = Path(folders, *origin.path.parts[-2 if folders == ".." else -1 :])
            argv += ["-b", str(shown), "-F", images.probe(origin.path).format]
        try:
            run(*argv, path, str(size))
        except ToolError as exc:
            self.shelf(storage, node).pop(name)
            path.unlink(missing_ok=True)
            raise TaskError(f"qemu-img: {exc}") from exc
        volume.path = path
        return volid

    def form(self, volume: Volume, volid: str) -> str:
        """The format of the file behind a volume."""
        if volume.content != "images" or is_cloudinit(volid):
            return "qcow2" if volume.format == "qcow2" else "raw"
        return volume.format if _is_file(self.storages[volid.partition(":")[0]]) else "qcow2"

    def fill(self, volid: str, node: str, source: Volume | None) -> None:
        """Copy the data of a volume or an imported file into a new volume."""
        target = self.volume(volid, node)
        if source is None or source.path is None or target is None or target.path is None or is_cloudinit(volid):
            return
        # An import is read as its extension says, a volume as what its file is.
        form = images.probe(source.path).format if source.content == "images" else source.format
        origin, goal, made = source.path, target.path, self.form(target, volid)
        try:
            slow(lambda: run("qemu-img", "convert", "-n", "-f", form, "-O", made, origin, goal))
        except ToolError as exc:
            raise TaskError(f"copy failed: {exc}") from exc

    def keep_data(self, vm: Vm, archive: Path) -> None:
        for key, volid, _props in vm.drives(cdrom=False):
            source = self.volume(volid, vm.node)
            if source is not None and source.path is not None:
                form, origin, goal = images.probe(source.path).format, source.path, beside(archive, key)
                self.copied(lambda f=form, o=origin, g=goal: run("qemu-img", "convert", "-f", f, "-O", "qcow2", o, g))

    def bring_data(self, volid: str, node: str, archive: Path, key: str) -> None:
        target, origin = self.volume(volid, node), beside(archive, key)
        if target is not None and target.path is not None and origin.exists():
            form, goal = self.form(target, volid), target.path
            self.copied(lambda: run("qemu-img", "convert", "-n", "-f", "qcow2", "-O", form, origin, goal))

    @staticmethod
    def copied(copy: t.Callable[[], object]) -> None:
        try:
            slow(copy)
        except ToolError as exc:
            raise TaskError(f"copy failed: {exc}") from exc

    def make_base(self, volid: str, node: str) -> tuple[str, str | None]:
        new, line = super().make_base(volid, node)
        volume = self.volume(new, node)
        if new != volid and volume is not None and volume.path is not None:
            storage, _unused, name = new.partition(":")
            volume.path = volume.path.rename(self.place(storage, node, name))
            # Whoever writes to a base ruins its clones.
            volume.path.chmod(0o444)
        return new, line

    def grow(self, vm: Vm, key: str, text: str, log: list[str]) -> None:
        super().grow(vm, key, text, log)
        volume = self.volume(str(vm.config[key]).partition(",")[0], vm.node)
        if volume is None or volume.path is None:
            return
        machine = self.machines.get(vm.vmid)
        if machine is not None:
            machine.qmp("block_resize", **{"node-name": f"drive-{key}", "size": volume.size})
        else:
            run("qemu-img", "resize", "-q", "-f", images.probe(volume.path).format, volume.path, str(volume.size))

    def generate_cloudinit(self, vm: Vm) -> None:
        """Write the drive, as at every start and on PUT cloudinit."""
        super().generate_cloudinit(vm)
        if vm.cloudinit is None:
            return
        for _key, volid, _props in vm.drives():
            volume = self.volume(volid, vm.node) if is_cloudinit(volid) else None
            if volume is not None and volume.path is not None:
                try:
                    cidata.write_drive(vm.cloudinit, volume.path, self.form(volume, volid))
                except cidata.TooBig as exc:
                    raise TaskError(str(exc)) from exc


def beside(archive: Path, key: str) -> Path:
    """Where the lab keeps the data of a disk that is in an archive."""
    return archive.with_name(f"{archive.name}.{key}.qcow2")
