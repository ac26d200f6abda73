# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hosts need of this machine."""

from __future__ import annotations

import os
import shutil

# Program -> Debian package; scripts/prerequisites.sh knows the same packages.
PROGRAMS = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "iptables": "iptables",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "ssh": "openssh-client",
}


def missing() -> str:
    """What keeps the hosts from running here, as a sentence; empty when nothing does."""
    if os.geteuid() != 0:
        return "hosts are containers of a Docker daemon of their own, which needs root"
    packages = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    return f"hosts need the packages {' '.join(packages)}" if packages else ""
