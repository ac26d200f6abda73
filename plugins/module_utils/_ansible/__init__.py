# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ansible edge. Every door imports it before anything else."""

from __future__ import annotations

from .payload import compile_once

compile_once(__spec__.loader if __spec__ else None)
