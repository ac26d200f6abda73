# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guests an inventory takes, and what its hosts are called."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from .._model.guest import LXC, Guest, GuestFacts

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?", re.ASCII)
_RANGE = re.compile(r"(\d+)(?:\s*-\s*(\d+))?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A guest of a cluster; C(cluster) is empty where a source has one only. C(facts) is None where none were read."""

    cluster: str
    guest: Guest
    facts: GuestFacts | None = None


# --- selection


_FIELDS: Mapping[str, Callable[[Member], tuple[str, ...]]] = {
    "cluster": lambda member: (member.cluster,),
    "name": lambda member: (member.guest.name,),
    "type": lambda member: (member.guest.type,),
    "status": lambda member: (member.guest.status,),
    "node": lambda member: (member.guest.node,),
    "pool": lambda member: (member.guest.pool,),
    "line": lambda member: (member.guest.line,),
    "tag": lambda member: member.guest.tags,
}
CONDITION_KEYS = ("vmid", *_FIELDS)


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds when each of its keys has one of its values: patterns as of a shell, for C(vmid) numbers and ranges."""

    patterns: Mapping[str, tuple[str, ...]]
    vmids: tuple[range, ...] = ()

    def holds(self, member: Member) -> bool:
        if self.vmids and not any(member.guest.vmid in one for one in self.vmids):
            return False
        return all(
            any(fnmatchcase(value, pattern) for value in _FIELDS[key](member) for pattern in patterns)
            for key, patterns in self.patterns.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is known without facts decides: any of C(include), or all if there is none, and none of C(exclude)."""

    include: tuple[Condition, ...] = ()
    exclude: tuple[Condition, ...] = ()
    templates: bool = False

    def takes(self, member: Member) -> bool:
        if member.guest.template and not self.templates:
            return False
        if self.include and not any(condition.holds(member) for condition in self.include):
            return False
        return not any(condition.holds(member) for condition in self.exclude)


def condition(option: str, value: Any, problems: list[str]) -> Condition | None:
    """Read one condition of an option; what is wrong with it goes to C(problems)."""
    if not isinstance(value, Mapping) or not value:
        problems.append(f"`{option}`: {value!r} is no condition. Write keys and values, such as `tag: web`.")
        return None
    found = len(problems)
    patterns: dict[str, tuple[str, ...]] = {}
    vmids: tuple[range, ...] = ()
    for key, wanted in value.items():
        values = _values(f"{option}.{key}", wanted, problems)
        if key == "vmid":
            vmids = _ranges(f"{option}.{key}", values, problems)
        elif key in _FIELDS:
            patterns[key] = tuple(values)
        else:
            problems.append(_unknown(option, str(key)))
    return Condition(patterns, vmids) if len(problems) == found else None


def _values(option: str, wanted: Any, problems: list[str]) -> list[str]:
    values = wanted if isinstance(wanted, list) else [wanted]
    if not values or any(isinstance(one, (list, Mapping, bool)) or one is None for one in values):
        problems.append(f"`{option}`: {wanted!r} is neither a value nor a list of values. Write one of them.")
        return []
    return [str(one) for one in values]


def _ranges(option: str, values: Iterable[str], problems: list[str]) -> tuple[range, ...]:
    found = []
    for text in values:
        match = _RANGE.fullmatch(text.strip())
        if match is None:
            problems.append(f"`{option}`: {text!r} is no VMID. Write a number, or a range such as 100-199.")
            continue
        found.append(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(found)


def _unknown(option: str, key: str) -> str:
    close = difflib.get_close_matches(key, CONDITION_KEYS, n=1)
    remedy = f"Did you mean `{close[0]}`?" if close else f"Known keys: {', '.join(CONDITION_KEYS)}."
    return f"`{option}`: unknown key {key!r}. {remedy}"


# --- names


class Duplicates(StrEnum):
    """What guests of one name are called."""

    VMID = "vmid"
    NODE = "node"
    CLUSTER = "cluster"
    FIRST = "first"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Affixes:
    """What stands around the names of a cluster's guests."""

    prefix: str = ""
    suffix: str = ""


_PARTS: Mapping[str, Callable[[Member], str]] = {
    "vmid": lambda member: str(member.guest.vmid),
    "node": lambda member: member.guest.node,
    "cluster": lambda member: member.cluster,
}
# A name that is made longer may be another guest's own name, so there is always one more part to add.
_LADDERS = {
    Duplicates.VMID: ("vmid", "cluster", "vmid"),
    Duplicates.NODE: ("node", "vmid", "cluster"),
    Duplicates.CLUSTER: ("cluster", "vmid", "vmid"),
    Duplicates.FIRST: ("vmid", "cluster", "vmid"),
    Duplicates.ERROR: (),
}


def plain_name(guest: Guest) -> str:
    """The guest's own name. A silent node tells none, and what is no host name is not taken."""
    if _HOST.fullmatch(guest.name):
        return guest.name
    return f"{'ct' if guest.type == LXC else 'vm'}-{guest.vmid}"


def host_names(
    members: Sequence[Member], rule: Duplicates, affixes: Mapping[str, Affixes], problems: list[str]
) -> list[str]:
    """A name for each member, all different; those that cannot be told apart go to C(problems)."""
    around = [affixes.get(member.cluster, Affixes()) for member in members]
    stems = [one.prefix + plain_name(member.guest) for member, one in zip(members, around, strict=True)]

    def whole() -> list[str]:
        return [stem + one.suffix for stem, one in zip(stems, around, strict=True)]

    favoured = _firsts(members, whole()) if rule is Duplicates.FIRST else frozenset()
    for part in _LADDERS[rule]:
        names = whole()
        clashing = _clashing(names)
        if not clashing:
            return names
        for index, member in enumerate(members):
            more = _PARTS[part](member)
            if names[index] in clashing and index not in favoured and more:
                stems[index] += f"-{more}"
    names = whole()
    for name in sorted(_clashing(names)):
        who = ", ".join(_place(member) for member, other in zip(members, names, strict=True) if other == name)
        problems.append(
            f"the host name {name} belongs to several guests: {who}. Rename all but one, leave some out with"
            " `exclude`, or let `duplicates` tell them apart."
        )
    return names


def _clashing(names: Iterable[str]) -> set[str]:
    return {name for name, times in Counter(names).items() if times > 1}


def _firsts(members: Sequence[Member], names: Sequence[str]) -> frozenset[int]:
    """Of each name the guest that keeps it: a running one before others, then the lowest VMID."""
    order = sorted(
        range(len(members)),
        key=lambda i: (not members[i].guest.running, members[i].guest.vmid, members[i].cluster),
    )
    first: dict[str, int] = {}
    for index in order:
        first.setdefault(names[index], index)
    return frozenset(first.values())


def _place(member: Member) -> str:
    where = f"{member.guest.node} of {member.cluster}" if member.cluster else member.guest.node
    return f"{member.guest.vmid} on {where}"
