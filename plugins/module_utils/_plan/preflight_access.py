# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight: what the credentials may do: privileges by capability, the VMIDs, the datacenter's rules for tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .._model.identity import RESERVED_PREFIXES
from .._model.preflight import Finding, Level, PreflightFacts, PreflightWish, Unanswered
from .._model.tags import parse_tags
from .preflight_nodes import CLUSTER, lowest_major, shown_by, unread
from .preflight_storages import kinds_of, named_storages, used_storages
from .privilege_table import CAPABILITIES, NEEDS, Kind
from .privileges import Call, Missing, Permissions, missing

# Calls that something else stands in for, or that only tidy up: what goes without them.
_DISPENSABLE: Mapping[str, str] = {
    "download": "images are uploaded by the controller instead",
    "query_url": "",
    "image_delete": "stored images and ISO files cannot be removed",
}

_OPTION: Mapping[Kind, str] = {
    Kind.DISK_STORAGE: "storages",
    Kind.IMAGE_STORAGE: "image_storages",
    Kind.BACKUP_STORAGE: "backup_storages",
}


def privilege_findings(wish: PreflightWish, facts: PreflightFacts) -> Iterator[Finding]:
    """What is missing on each path, with the line that grants it; each capability that lacks nothing."""
    calls = {name: tuple(_calls(name, wish, facts)) for name in wish.capabilities}
    needed = _missing(facts, (call for some in calls.values() for call in some if call.name not in _DISPENSABLE))
    useful = _missing(facts, (call for some in calls.values() for call in some if call.name in _DISPENSABLE))
    known = {(gap.path, gap.privilege) for gap in needed}
    groups: dict[tuple[str, Level], list[Missing]] = {}
    for gap in needed:
        level = Level.WARNING if _guessed(wish, gap.path) else Level.ERROR
        groups.setdefault((gap.path, level), []).append(gap)
    for gap in useful:
        if (gap.path, gap.privilege) not in known:
            groups.setdefault((gap.path, Level.WARNING), []).append(gap)
    lacks = {name: {(gap.path, gap.privilege) for gap in _missing(facts, some)} for name, some in calls.items()}
    incomplete: set[str] = set()
    for (_path, level), gaps in groups.items():
        lacking = {(gap.path, gap.privilege) for gap in gaps}
        needy = tuple(name for name in wish.capabilities if lacks[name] & lacking)
        incomplete |= set(needy) if level is Level.ERROR else set()
        yield _lack(wish, facts, level, gaps, needy)
    for name in wish.capabilities:
        if name not in incomplete:
            yield _enough(name, wish, facts, {gap.path for gap in needed})


def _enough(capability: str, wish: PreflightWish, facts: PreflightFacts, closed: set[str]) -> Finding:
    """Nothing is missing where anything could be checked; what has no place yet proves nothing.

    C(closed) are the paths on which something is missing: storages that were not named may be among them, as long as
    there is another one.
    """
    used = used_storages(wish, facts)
    open_ends = [_OPTION[kind] for kind in sorted(kinds_of((capability,))) if not used[kind]]
    if not wish.networks and {"net", "clone", "restore_net"} & set(CAPABILITIES[capability]):
        open_ends.append("bridges")
    subject = f"capability {capability}"
    shut = [
        _OPTION[kind]
        for kind in sorted(kinds_of((capability,)))
        if used[kind] and all(f"/storage/{name}" in closed for name in used[kind])
    ]
    if shut:
        return Finding(
            check="privileges",
            level=Level.ERROR,
            subject=subject,
            message=f"{facts.auth_id} lacks privileges on every storage that it can see for {', '.join(shut)}",
            remedy=f"Set {' and '.join(shut)}, and grant what is missing on these",
        )
    if open_ends:
        return Finding(
            check="privileges",
            level=Level.UNKNOWN,
            subject=subject,
            message=f"{facts.auth_id} lacks nothing that could be checked; of these none is named or can be seen: "
            + ", ".join(open_ends),
            remedy=f"Set {' and '.join(open_ends)}",
        )
    return Finding(
        check="privileges", level=Level.OK, subject=subject, message=f"{facts.auth_id} has the privileges for it"
    )


def _missing(facts: PreflightFacts, calls: Iterable[Call]) -> tuple[Missing, ...]:
    return missing(
        Permissions(facts.permissions),
        dict.fromkeys(calls),
        pve_major=lowest_major(facts),
        auth_id=facts.auth_id,
    )


def _lack(
    wish: PreflightWish, facts: PreflightFacts, level: Level, gaps: list[Missing], needy: tuple[str, ...]
) -> Finding:
    path, line = gaps[0].path, gaps[0].pveum
    privileges = ", ".join(dict.fromkeys(gap.privilege for gap in gaps))
    calls = {name for gap in gaps for name in gap.needed_for.split(", ")}
    without = ""
    if calls <= _DISPENSABLE.keys():
        without = " and ".join(text for name, text in _DISPENSABLE.items() if text and name in calls)
    message = f"{facts.auth_id} lacks {privileges}, for {', '.join(needy)}"
    return Finding(
        check="privileges",
        level=level,
        subject=path,
        message=message + (f"; without it {without}" if without else ""),
        remedy=_pool_hint(wish, facts, path) + f"Run on a node: {line}",
    )


def _guessed(wish: PreflightWish, path: str) -> bool:
    """Nobody said that a storage which was not named is to be used."""
    named = {name for names in named_storages(wish).values() for name in names}
    storage = path.removeprefix("/storage/")
    return storage != path and storage not in named


def _pool_hint(wish: PreflightWish, facts: PreflightFacts, path: str) -> str:
    """Credentials made for a pool look empty-handed where the pool is not named."""
    pools = sorted(one.removeprefix("/pool/") for one in facts.permissions if one.startswith("/pool/"))
    if wish.pool or not pools or not path.startswith("/vms"):
        return ""
    return f"Set pool to {' or '.join(pools)}, if that is where the VMs go. Otherwise: "


def _calls(capability: str, wish: PreflightWish, facts: PreflightFacts) -> Iterator[Call]:
    """The calls of a capability at every place where they would be made."""
    table = NEEDS[lowest_major(facts)]
    kinds = sorted(kinds_of((capability,)))
    used = used_storages(wish, facts)
    all_storages = tuple(dict.fromkeys(name for kind in kinds for name in used[kind]))
    nodes = tuple(name for name in wish.nodes or sorted(facts.cluster.nodes) if name in facts.cluster.nodes)
    bridges = tuple(network.zone_path for network in wish.networks)
    for name in CAPABILITIES[capability]:
        paths = {right.path for need in table[name].needs for alternative in need for right in alternative}
        if name == "see_pool" and not wish.pool:
            continue
        storages = all_storages if table[name].storage is None else used[table[name].storage or Kind.DISK_STORAGE]
        for node in nodes if "/nodes/{node}" in paths and nodes else ("",):
            for storage in storages if "/storage/{storage}" in paths and storages else ("",):
                for bridge in bridges if any("{zone_bridge}" in path for path in paths) and bridges else ("",):
                    yield Call(name=name, node=node, storage=storage, zone_bridge=bridge, pool=wish.pool)


def vmid_findings(wish: PreflightWish, facts: PreflightFacts) -> Iterator[Finding]:
    """How many VMIDs are free, as far as can be seen."""
    first, last = wish.vmid_range
    taken = sum(first <= vmid <= last for vmid in facts.cluster.guests)
    free = last - first + 1 - taken
    told = f"{free} of the VMIDs {first}-{last} are free"
    if not free:
        yield Finding(
            check="vmids",
            level=Level.ERROR,
            subject=CLUSTER,
            message=f"all VMIDs {first}-{last} are taken",
            remedy="Widen vmid_range",
        )
    elif Permissions(facts.permissions).has("/vms", "VM.Audit"):
        yield Finding(check="vmids", level=Level.OK, subject=CLUSTER, message=told)
    else:
        yield Finding(
            check="vmids",
            level=Level.UNKNOWN,
            subject=CLUSTER,
            message=f"{told}, or taken by guests that these credentials may not see: that cannot be known",
            remedy=shown_by("VM.Audit", "/vms"),
        )


def tag_findings(facts: PreflightFacts) -> Iterator[Finding]:
    """Whether the tags that make a generation (line-, gen-, recipe-, state-) may be set by these credentials."""
    permissions = Permissions(facts.permissions)
    options = facts.options
    if isinstance(options, Unanswered):
        yield _tags(Level.UNKNOWN, unread("the datacenter's options", options))
        return
    yield _style(options)
    if permissions.has("/", "Sys.Modify"):
        yield _tags(Level.OK, "these credentials may set any tag (Sys.Modify on /)")
    elif not permissions.has("/", "Sys.Audit"):
        yield _tags(
            Level.UNKNOWN,
            f"whether {_PREFIXES} may be set is not shown (user-tag-access, registered-tags)",
            shown_by("Sys.Audit", "/"),
        )
    else:
        yield from _rules(options)


_PREFIXES = ", ".join(f"{prefix}…" for prefix in RESERVED_PREFIXES)


def _tags(level: Level, message: str, remedy: str = "") -> Finding:
    return Finding(check="tags", level=level, subject=CLUSTER, message=message, remedy=remedy)


def _style(options: Mapping[str, Any]) -> Finding:
    style = _properties(options.get("tag-style"))
    case = "as they are written" if str(style.get("case-sensitive", "0")) == "1" else "in lower case"
    order = "in the order given" if style.get("ordering") == "config" else "sorted"
    return Finding(
        check="tag_style",
        level=Level.OK,
        subject=CLUSTER,
        message=f"tags are stored {case}, {order}; ours are in lower case and compared as a set",
    )


def _rules(options: Mapping[str, Any]) -> Iterator[Finding]:
    """After get_allowed_tags and assert_tag_permissions in pve-guest-common's GuestHelpers.pm."""
    mode = _properties(options.get("user-tag-access")).get("user-allow", "free")
    ours = sorted(tag for tag in _list(options.get("registered-tags")) if tag.lower().startswith(RESERVED_PREFIXES))
    if mode != "free":
        yield _tags(
            Level.ERROR,
            f"user-tag-access is '{mode}': the tags of a new generation are new ones, and would be refused",
            "Run on a node: pvesh set /cluster/options --user-tag-access user-allow=free; or grant Sys.Modify on /",
        )
    if ours:
        yield _tags(
            Level.ERROR,
            f"{', '.join(ours)} are registered tags, which only Sys.Modify on / may set",
            "Take them out of registered-tags (Datacenter, Options), or grant Sys.Modify on /",
        )
    if mode == "free" and not ours:
        yield _tags(Level.OK, f"{_PREFIXES} may be set: user-tag-access is 'free', none of them is registered")


def _properties(value: Any) -> Mapping[str, Any]:
    """A format of datacenter.cfg: the API gives it taken apart, older releases as text."""
    if isinstance(value, Mapping):
        return value
    pairs = (part.partition("=") for part in str(value or "").split(",") if part)
    return {key: text for key, _equals, text in pairs}


def _list(value: Any) -> tuple[str, ...]:
    return tuple(str(tag) for tag in value) if isinstance(value, list) else parse_tags(str(value or ""))
