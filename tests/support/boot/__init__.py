# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The boot lab: the fake API whose VMs are real.

    made = images()                                              # a Debian cloud image, built once
    with serve(LabCluster()) as server:
        lab = server.cluster                                     # everything of FakeCluster, and:
        lab.machines[vmid], lab.serial(vmid), lab.ssh_port(vmid)
        kept = lab.freeze(vmid); ...; lab.thaw(kept)             # back to that moment, as often as wanted

tools.missing() names the Debian packages that are not there. QEMU processes end with the server, and with this process
however it ends.
"""

from __future__ import annotations

from .image import Images, images
from .lab import LabCluster
from .machine import Machine

__all__ = ["Images", "LabCluster", "Machine", "images"]
