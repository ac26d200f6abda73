# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run is started with: inventories and environment, the same on every machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .._actions.model import Invocation
from .._config.paths import MOVED
from .context import COLLECTIONS, Context
from .exits import Exit, Trouble
from .files import make_folder


def environment_of(context: Context, run: str) -> dict[str, str]:
    """What Ansible gets besides the person's own environment."""
    home = context.paths.state / "ansible"
    make_folder(home)
    make_folder(reports_of(context))
    former = context.environ.get("ANSIBLE_COLLECTIONS_PATH", "")
    # Beside the Python that runs this; not resolved, since that of a virtual environment is a link.
    binaries = Path(sys.executable).parent
    return {
        "PATH": f"{binaries}{os.pathsep}{context.environ.get('PATH', os.defpath)}",
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(filter(None, (str(COLLECTIONS), former))),
        # Where playbooks write reports that nobody gave a path for.
        "PWD": str(reports_of(context)),
        # The home of a service account may be read-only.
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        # Half an inventory would be half a run that ends well.
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        # The configuration reaches playbooks at the strength of group_vars/all.
        "ANSIBLE_VARS_ENABLED": "host_group_vars,homelab.proxmox.config",
        **folders(context),
        "HOMELAB_PROXMOX_PROGRESS": "1",
        "HOMELAB_RUN_ID": run,
    }


def reports_of(context: Context) -> Path:
    """The folder that runs are started in."""
    return context.paths.state / "reports"


def folders(context: Context) -> dict[str, str]:
    """Where everything is, for the parts of a run: --root is known to this process only."""
    return {variable: str(getattr(context.paths, name)) for name, variable in MOVED.items()}


def inventory_of(context: Context, invocation: Invocation) -> list[str]:
    found = list(context.inventory)
    if not found and invocation.action.target == "localhost":
        return ["localhost,"]
    if not found:
        raise Trouble(
            Exit.CONFIGURATION,
            f"there is no inventory: put one at {context.paths.etc / 'inventory'}, name it in HOMELAB_INVENTORY, "
            "or give --inventory",
        )
    missing = [one for one in found if "," not in one and not Path(one).exists()]
    if missing:
        raise Trouble(Exit.CONFIGURATION, f"inventory {missing[0]!r} is not there. Name a file or a folder")
    return [one if "," in one else os.path.abspath(one) for one in found]
