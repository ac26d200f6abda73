# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said to the person: results on standard output, everything else on standard error.

Not print(): ansible-test refuses it here, since modules must not write to standard output.
"""

from __future__ import annotations

import sys


def out(text: object = "", end: str = "\n") -> None:
    """A result. What does not end a line is a prompt, and is there at once."""
    sys.stdout.write(f"{text}{end}")
    if end != "\n":
        sys.stdout.flush()


def err(text: object = "", end: str = "\n") -> None:
    """Progress, warnings, and what went wrong."""
    sys.stderr.write(f"{text}{end}")
    sys.stderr.flush()
