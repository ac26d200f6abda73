# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build asks of Proxmox VE: the parameters of the create call, made of the line, the image's facts and defaults.

Defaults apply to new builds only. Nothing here is compared with a template that exists.
"""

from __future__ import annotations

from dataclasses import replace

from .._model.identity import Identity, State, describe, identity_tags
from .._model.image import CloudImage, Digest
from .._model.template import TemplateLine
from .quirks import quirk_settings
from .steps import Build

DISK_DEFAULTS = {"discard": "on", "iothread": "1", "ssd": "1"}
"""Trimming reaches the storage, and every disk has its own I/O thread (which wants virtio-scsi-single)."""

# QEMU's models by the level an image needs. Without one Proxmox VE takes kvm64, which panics on EL9 and newer.
CPU_BY_LEVEL = {"x86-64-v3": "x86-64-v3"}
CPU_DEFAULT = "x86-64-v2-AES"

MIN_IMPORT = (8, 4)
"""pve-storage 8.3.6 (PVE 8.4) is the first that stores disk images as content `import`."""
MIN_MS_CERT = (9, 1)
"""qemu-server of PVE 9.1 is the first that lets the caller choose the certificates of new EFI variables."""

TAGS_CHECKED = (9, 2)
"""qemu-server 9.2.0 is the first that checks tags of a create call: on /vms/{vmid}, before the VM is in its pool."""


def version_tuple(version: str) -> tuple[int, int]:
    """Major and minor of a version text such as C(8.4.21) or C(9.1.1~rc1)."""
    parts = version.split(".")
    digits = ["".join(ch for ch in part if ch.isdigit()) or "0" for part in (*parts, "0")]
    return int(digits[0]), int(digits[1])


def effective_bios(line: TemplateLine) -> str:
    """The firmware of a new build: as declared, or what the image can do."""
    if line.bios is not None:
        return line.bios
    if line.efi is not None or line.tpm is not None or not line.image.firmware.bios:
        return "ovmf"
    return "seabios"


def disk_size(line: TemplateLine) -> int | None:
    """Bytes to which a new build's disk is grown: as declared, or what the system wants to live on."""
    if line.disk.size is not None:
        return line.disk.size
    return None if line.image.min_disk_gib is None else int(line.image.min_disk_gib * 1024**3)


def stored_filename(image: CloudImage, digest: Digest) -> str:
    """The name under which an image is stored.

    It holds the digest, because C(download-url) never overwrites a file, and ends in the real format: an image of
    format qcow2 stored as C(.raw) is accepted by Proxmox VE and does not boot.
    """
    return f"{stored_id(image.id)}-{digest.short}.{image.format}"


def stored_id(image_id: str) -> str:
    """An image's id as stored names hold it."""
    return "".join(ch if ch.isascii() and (ch.isalnum() or ch in ".-_") else "_" for ch in image_id)


def default_settings(line: TemplateLine) -> dict[str, str]:
    """Settings of a new build where the line declares none."""
    image = line.image
    settings = {
        "ostype": image.ostype,
        "cores": "2",
        "memory": str(max(2048, image.min_ram_mib or 0)),
        "cpu": CPU_BY_LEVEL.get(image.cpu_level, CPU_DEFAULT),
        "scsihw": "virtio-scsi-single",
        "net0": "virtio,bridge=vmbr0",
        "serial0": "socket",
        "ipconfig0": "ip=dhcp",
        # The server's default is 1: every first boot would upgrade all packages and hold the package manager's lock.
        "ciupgrade": "0",
    }
    if image.serial_console != "no" and "needs-vga" not in image.quirks:
        settings["vga"] = "serial0"
    if image.guest_agent == "yes" or line.customize is not None:
        settings["agent"] = "enabled=1"
    if image.default_user:
        settings["ciuser"] = image.default_user
    if effective_bios(line) == "ovmf" and image.arch == "x86_64":
        settings["machine"] = "q35"
    return settings | quirk_settings(line)


def create_params(build: Build, vmid: int) -> dict[str, str | int]:
    """The body of POST /nodes/{node}/qemu. It never holds a password: a create call stores that in plain text."""
    line = build.line
    identity = replace(build.identity, vmid=vmid)
    settings = {**default_settings(line), **line.settings}
    params: dict[str, str | int] = {key: value for key, value in settings.items() if key not in line.clears}
    params |= {
        "vmid": vmid,
        "name": build_name(line, identity),
        "scsi0": _system_disk(line, build.volid),
        "boot": "order=scsi0",
        "description": describe(human(line), identity),
    }
    if line.customize is None:
        params |= cloudinit_drive(line)
    if not build.tag_later:
        params["tags"] = building_tags(build, vmid)
    if line.place.pool:
        params["pool"] = line.place.pool
    if effective_bios(line) == "ovmf":
        params["bios"] = "ovmf"
        params["efidisk0"] = _efi_disk(line, build.version)
    if line.tpm is not None:
        params["tpmstate0"] = f"{line.place.storage}:1,version={line.tpm}"
    return params


def cloudinit_drive(line: TemplateLine) -> dict[str, str]:
    """The drive of a template's clones. A builder has none: of two seeds the guest takes either."""
    # Debian's cloud kernel has no AHCI driver: on q35 an IDE or SATA drive would be invisible to cloud-init.
    return {"scsi1": f"{line.place.cloudinit_storage}:cloudinit"}


def building_tags(build: Build, vmid: int) -> str:
    """The tags of a build under way, as Proxmox VE stores them."""
    tags = identity_tags(replace(build.identity, vmid=vmid), State.BUILDING)
    return ";".join(sorted(tags | (build.line.tags or frozenset())))


def build_name(line: TemplateLine, identity: Identity) -> str:
    """The name of a generation that is not the current one; only the current one carries the line's plain name."""
    return f"{line.name}-{identity.generation}"


def human(line: TemplateLine) -> str:
    """The human part of a new build's description."""
    return line.image.name if line.description is None else line.description


def _system_disk(line: TemplateLine, volid: str) -> str:
    options = {**DISK_DEFAULTS, **line.disk.options}
    if line.disk.format:
        options["format"] = line.disk.format
    # With import-from the size must be 0; the disk is grown afterwards.
    return ",".join([f"{line.place.storage}:0", f"import-from={volid}", *(f"{k}={v}" for k, v in options.items())])


def _efi_disk(line: TemplateLine, version: str) -> str:
    efi = line.efi
    secure_boot = efi is not None and efi.secure_boot
    text = f"{line.place.storage}:1,efitype={efi.type if efi else '4m'},pre-enrolled-keys={int(secure_boot)}"
    if secure_boot and version_tuple(version) >= MIN_MS_CERT:
        text += ",ms-cert=2023k"
    return text
