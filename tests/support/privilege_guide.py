# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of docs/guides/least-privilege.md that follow from the table of privileges.

C(PYTHONPATH=.venv/collections .venv/bin/python tests/support/privilege_guide.py) writes them into the guide again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.homelab.proxmox.plugins.module_utils._plan.privilege_table import CAPABILITIES, NEEDS, Kind
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.privileges import DEFAULT_ROLES, role_privileges

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "least-privilege.md"
PATHS = {
    Kind.POOL: "/pool/templates",
    Kind.IMAGE_STORAGE: "/storage/local",
    Kind.DISK_STORAGE: "/storage/local-lvm",
    Kind.BACKUP_STORAGE: "/storage/backup",
    Kind.NODE: "/nodes/pve1",
    Kind.BRIDGE: "/sdn/zones/localnetwork/vmbr0",
}


def roles_table() -> str:
    """Each kind of path, and who needs which of its privileges."""
    lines = ["| role | on | privilege | for |", "|---|---|---|---|"]
    for kind in Kind:
        for privilege in _all_privileges(kind):
            who = [name for name in CAPABILITIES if privilege in _privileges(kind, name)]
            versions = [major for major in NEEDS if privilege in role_privileges(major, CAPABILITIES).get(kind, ())]
            only = "" if len(versions) == len(NEEDS) else f" (PVE {versions[0]})"
            lines.append(f"| `{DEFAULT_ROLES[kind]}` | `{PATHS[kind]}` | `{privilege}`{only} | {', '.join(who)} |")
    return "\n".join(lines)


def _all_privileges(kind: Kind) -> list[str]:
    return sorted({name for major in NEEDS for name in role_privileges(major, CAPABILITIES).get(kind, ())})


def _privileges(kind: Kind, capability: str) -> set[str]:
    return {name for major in NEEDS for name in role_privileges(major, [capability]).get(kind, ())}


def commands(major: int) -> str:
    """The default capabilities by hand, for the shell of a node."""
    user, token = "homelab@pve", "homelab@pve!ansible"
    lines = [f"pveum role add {DEFAULT_ROLES[kind]} --privs '{' '.join(names)}'" for kind, names in _roles(major)]
    lines += ["pveum pool add templates", f"pveum user add {user}", f"pveum user token add {user} ansible --privsep 1"]
    lines += [
        f"pveum acl modify {PATHS[kind]} --users {user} --tokens '{token}' --roles {DEFAULT_ROLES[kind]} "
        f"--propagate {int(kind is Kind.POOL)}"
        for kind, _names in _roles(major)
    ]
    return "```sh\n" + "\n".join(lines) + "\n```"


def _roles(major: int) -> Iterable[tuple[Kind, tuple[str, ...]]]:
    return role_privileges(major).items()


def filled(text: str) -> str:
    """The guide with its generated parts made anew."""
    parts = {"roles": roles_table(), **{f"commands-{major}": commands(major) for major in NEEDS}}
    for name, part in parts.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", re.DOTALL)
        text, count = marks.subn(lambda found, part=part: found.group(1) + part + found.group(2), text)
        if count != 1:
            raise ValueError(f"the guide has {count} places for {name}")
    return text


if __name__ == "__main__":
    GUIDE.write_text(filled(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
