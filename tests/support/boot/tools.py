# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab needs of this machine: the programs it calls, and whether KVM works."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

# Program -> Debian package; scripts/prerequisites.sh knows the same packages.
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mkfs.ext4": "e2fsprogs",
    "grub-mkimage": "grub-common",
    "genisoimage": "genisoimage",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
BOOT_IMAGE = Path("/usr/lib/grub/i386-pc/boot.img")

# mov al, 0x10; out 0xf4, al: isa-debug-exit ends QEMU with status 2 * 0x10 + 1.
_PROBE = b"\xb0\x10\xe6\xf4\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa"
_PROBE_STATUS = 33


class ToolError(Exception):
    """A program failed; the text is what it said."""


def missing() -> list[str]:
    """The Debian packages that are not there, sorted."""
    found = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    if not BOOT_IMAGE.exists():
        found.add("grub-pc-bin")
    if os.geteuid() and shutil.which("newuidmap") is None:
        found.add("uidmap")
    return sorted(found)


def run(*argv: str | Path, seconds: float = 1800) -> str:
    """Run a program; its standard output. Raises ToolError."""
    try:
        done = subprocess.run(
            [str(word) for word in argv], capture_output=True, stdin=subprocess.DEVNULL, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise ToolError(f"{argv[0]} took longer than {seconds:.0f} s") from exc
    if done.returncode:
        raise ToolError((done.stderr or done.stdout).decode(errors="replace").strip() or f"status {done.returncode}")
    return done.stdout.decode(errors="replace")


@functools.cache
def kvm_works() -> bool:
    """Does KVM run a guest? A device file that can be opened is no proof: inside another VM QEMU may still abort.

    Nor is the probe alone. Where the processor shows no vmx or svm, /dev/kvm may be one that runs only kernels made for
    it: seen there, the probe passes and Debian's kernel never says a word.
    """
    if not Path("/dev/kvm").exists() or not _virtualises():
        return False
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder, "probe")
        disk.write_bytes(_PROBE)
        argv = ["qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-m", "16", "-nodefaults", "-display", "none"]
        argv += ["-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-drive", f"file={disk},format=raw"]
        try:
            return subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode == _PROBE_STATUS
        except subprocess.TimeoutExpired:
            return False


def _virtualises() -> bool:
    """Does the processor say that it can run guests?"""
    flags = (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    return bool({"vmx", "svm"} & set(next(flags, "").split()))


def accelerator() -> list[str]:
    """The options of QEMU that make guests as fast as they get here.

    Without KVM older CPU models boot slower, and C(erms), fast string moves, are carried out byte by byte.
    """
    if kvm_works():
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi", "-cpu", "max,erms=off"]
