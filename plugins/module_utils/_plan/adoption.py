# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking over a template that was made by hand: its identity and everything that is declared, in one write."""

from __future__ import annotations

from typing import Any

from .._model.identity import Foreign, State, read_identity
from .._model.template import Generation, TemplateLine
from .plan import Refusal
from .settings import config_changes, password_sides, publish_changes, wants_password
from .steps import Adopt


def adoption(line: TemplateLine, found: Generation) -> tuple[Adopt, dict[str, Any], dict[str, Any]] | Refusal:
    """The step and both sides of the difference; C(found) is the template with the identity it will have.

    Refused where an identity block stands already: a clone that inherited one, or a generation of another line.
    """
    config = found.config
    claimed = read_identity(found.vmid, config.description)
    if claimed is not None:
        reason = claimed.reason if isinstance(claimed, Foreign) else f"it is a generation of line {claimed.line}"
        return Refusal(
            subject=line.subject,
            option="adopt",
            value=True,
            reason=f"VM {found.vmid} ({config.name}) was not made by hand: {reason}",
            remedy="Remove the identity block from its description first, if this line shall take it over",
        )
    changes, delete, before, after = config_changes(line, found)
    before |= {"vmid": found.vmid, "name": config.name, "state": "hand-made"}
    after |= {"vmid": found.vmid, "name": line.name, "state": State.CURRENT.value}
    password = wants_password(line, config)
    if password:
        before["cipassword"], after["cipassword"] = password_sides(config)
    step = Adopt(
        line=line,
        identity=found.identity,
        changes={**changes, **publish_changes(line, found.identity, config)},
        delete=delete,
        digest=config.digest,
        password=password,
    )
    return step, before, after
