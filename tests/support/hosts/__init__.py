# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts for the tests of roles: systemd containers made from Debian packages, in a Docker daemon of the tests' own."""

from .daemon import Daemon, serve
from .images import build
from .machine import Machine, machine
from .molecule import Outcome, Step, images, play
from .tools import missing

__all__ = ["Daemon", "Machine", "Outcome", "Step", "build", "images", "machine", "missing", "play", "serve"]
