# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Proxmox VE changes in place on a template: which of the declared settings differ, and how to write them.

Property strings compare parsed, lists compare as sets, a network device keeps the MAC address it has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from .._model.identity import Identity, State, describe, human_text, identity_tags, user_tags
from .._model.net import Net
from .._model.template import Generation, TemplateLine
from .._model.vm_config import VmConfig, property_codec, same_value

# What the server takes for a key that its config does not hold, where that is a plain value (PVE::QemuServer's schema).
SERVER_DEFAULTS = {
    "memory": "512",
    "cores": "1",
    "sockets": "1",
    "bios": "seabios",
    "ciupgrade": "1",
    "protection": "0",
}

Changes = tuple[dict[str, str], tuple[str, ...], dict[str, Any], dict[str, Any]]


def config_changes(line: TemplateLine, current: Generation) -> Changes:
    """What to write, what to delete, and both sides of the difference, for a line whose generation stays."""
    changes: dict[str, str] = {}
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    config = current.config
    for key, wanted in line.settings.items():
        actual = config.text(key)
        if actual is None and SERVER_DEFAULTS.get(key) == wanted:
            continue
        if actual is None or not same_setting(key, wanted, actual):
            changes[key] = wanted if actual is None else merged_value(key, wanted, actual)
            before[key], after[key] = actual, changes[key]
    delete = tuple(sorted(key for key in line.clears if config.text(key) is not None))
    for key in delete:
        before[key], after[key] = config.text(key), None
    for key, (compared, written) in _identity_values(line, current.identity, config).items():
        shown = _shown(key, config)
        if shown != compared:
            changes[key] = written
            before[key], after[key] = shown, compared
    return changes, delete, before, after


def wants_password(line: TemplateLine, config: VmConfig) -> bool:
    """Whether the line's password is to be written: Proxmox never tells it back."""
    return line.password is not None and (line.password.always or "cipassword" not in config.raw)


def password_sides(config: VmConfig) -> tuple[str, str]:
    """Both sides of a password's difference."""
    return ("<set>", "<set anew>") if "cipassword" in config.raw else ("<unset>", "<set>")


def place_notes(line: TemplateLine, current: Generation, pools: Collection[str]) -> list[str]:
    """What a line says of its place that only its next generation can follow; C(pools) are those that can be seen."""
    place, drives = line.place, [disk.storage for disk in current.config.disks().values() if disk.is_cloudinit]
    found = {
        f"pool={place.pool!r}": place.pool in pools and current.row.pool != place.pool,
        f"cloudinit_storage={place.cloudinit_storage!r}": place.cloudinit_storage != place.storage
        and bool(drives)
        and place.cloudinit_storage not in drives,
    }
    return [
        f"{line.subject}: {said} holds for the next generation; VM {current.vmid} stays where it is"
        for said, ignored in found.items()
        if ignored
    ]


def publish_changes(line: TemplateLine, identity: Identity, config: VmConfig) -> dict[str, str]:
    """The name, tags, description and protection of the line's current generation."""
    return {key: written for key, (_shown_as, written) in _identity_values(line, identity, config).items()}


def retire_changes(line: TemplateLine, generation: Generation, withdrawn: str = "") -> dict[str, str]:
    """The tags and name of a generation that is kept but no longer current; C(withdrawn) is when it was given up."""
    kept = user_tags(generation.config.tags.as_set())
    changes = {
        "name": f"{line.name}-{generation.identity.generation}",
        "tags": ";".join(sorted(identity_tags(generation.identity, State.RETIRED) | kept)),
    }
    if withdrawn:
        identity = replace(generation.identity, withdrawn=withdrawn)
        changes["description"] = describe(human_text(generation.config.description), identity)
    return changes


def same_setting(key: str, wanted: str, actual: str) -> bool:
    """Whether a declared value and the server's mean the same."""
    if key == "memory":
        # The answer may be in the property-string form.
        return wanted == actual.removeprefix("current=")
    if key in _WORD_LISTS:
        return wanted.split() == actual.split()
    return same_value(key, merged_value(key, wanted, actual), actual)


def merged_value(key: str, wanted: str, actual: str) -> str:
    """The value to write: a network device without a declared MAC address keeps the one it has."""
    if property_codec(key) is Net:
        left, right = Net.parse(wanted), Net.parse(actual)
        if left.macaddr is None and right.macaddr is not None:
            return str(left.replace(macaddr=right.macaddr))
    return wanted


_WORD_LISTS = frozenset({"nameserver", "searchdomain"})


def _identity_values(line: TemplateLine, identity: Identity, config: VmConfig) -> dict[str, tuple[Any, str]]:
    """Key to (the form that is compared and shown, the form that is written)."""
    own = line.tags if line.tags is not None else user_tags(config.tags.as_set())
    tags = identity_tags(identity, State.CURRENT) | own
    human = human_text(line.description if line.description is not None else config.description)
    values: dict[str, tuple[Any, str]] = {
        "name": (line.name, line.name),
        "tags": (sorted(tags), ";".join(sorted(tags))),
        "description": (human, describe(human, identity)),
    }
    if line.protection is not None:
        values["protection"] = (line.protection, str(int(line.protection)))
    return values


_SHOWN: dict[str, Callable[[VmConfig], Any]] = {
    "name": lambda config: config.name,
    "tags": lambda config: sorted(config.tags.as_set()),
    "description": lambda config: human_text(config.description),
    "protection": lambda config: config.protection,
}


def _shown(key: str, config: VmConfig) -> Any:
    return _SHOWN[key](config)
