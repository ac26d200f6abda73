# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the inventory plugin guests, as one value; everything that is wrong with them is said together."""

from __future__ import annotations

import difflib
import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._plan.guest_hosts import FAMILIES, AddressRule, HostRule, Network, variables
from .._plan.guests import Affixes, Condition, Duplicates, Member, Selection, condition
from .._plan.plan import OptionProblems
from .._pve.auth import Connection, ConnectionOptionError, connection_from
from .spec import connection_options

CONNECTION = tuple(connection_options())
_CREDENTIALS = ("api_user", "api_password", "api_token_id", "api_token_secret")
_TRUST = ("validate_certs", "ca_path", "fingerprint")
_OWN = ("name", "host_prefix", "host_suffix")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*", re.ASCII)
# What decides what is read. The rest only decides what becomes of it, so a cached reading stays good.
_READING = ("include", "exclude", "templates", "filters", "facts", "agent", "live", "extra_vars")
MAX_WORKERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSource:
    """One cluster to read; C(name) is empty where the source has one only."""

    name: str
    connection: Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An inventory source as a whole."""

    clusters: tuple[ClusterSource, ...]
    affixes: Mapping[str, Affixes]
    selection: Selection
    duplicates: Duplicates
    hosts: HostRule
    facts: bool
    agent: bool
    live: bool
    workers: int
    reading: str
    """Digest of what decides what is read, for the key of a cache. No secret of a connection goes into it."""

    def variables(self, member: Member) -> dict[str, Any]:
        """The variables that a member's host has, or would have."""
        return variables(member, self.hosts)


def source_from(options: Mapping[str, Any], environ: Mapping[str, str]) -> Source:
    """Read the options. Raises OptionProblems with everything at once."""
    problems: list[str] = []
    entries = _entries(options, problems)
    clusters = tuple(
        ClusterSource(name=name, connection=connection)
        for name, given, variables in _merged(entries, options, environ)
        if (connection := _connection(name, given, variables, problems)) is not None
    )
    affixes = {name: _affixes(entry) for name, entry in entries.items()}
    selection = Selection(
        include=_conditions("include", options, problems),
        exclude=_conditions("exclude", options, problems),
        templates=bool(options["templates"]),
    )
    agent, facts = bool(options["agent"]), bool(options["facts"])
    if agent and not facts:
        problems.append("`agent`=True needs the configuration of each guest. Set `facts: true` too.")
    if options["facts_filters"] and not facts:
        problems.append("`facts_filters` look at facts, which are not read. Set `facts: true`, or use `filters`.")
    workers = int(options["workers"])
    if not 1 <= workers <= MAX_WORKERS:
        problems.append(f"`workers`={workers} is not a number of requests at once. Give 1 to {MAX_WORKERS}.")
    hosts = _host_rule(options, per_cluster=bool(options.get("clusters")), problems=problems)
    if problems:
        raise OptionProblems(tuple(problems))
    return Source(
        clusters=clusters,
        affixes=affixes,
        selection=selection,
        duplicates=Duplicates(options["duplicates"]),
        hosts=hosts,
        facts=facts,
        agent=agent,
        live=bool(options["live"]),
        workers=workers,
        reading=_digest(options, clusters),
    )


# --- clusters


def _entries(options: Mapping[str, Any], problems: list[str]) -> dict[str, Mapping[str, Any]]:
    """By name; the one without a name is made of the options themselves."""
    given = options.get("clusters")
    if not given:
        return {"": {name: options.get(name) for name in ("host_prefix", "host_suffix")}}
    for name in ("api_host", "api_port", "fingerprint"):
        if options.get(name) is not None:
            problems.append(f"`{name}` beside `clusters` belongs to one of them. Move it there.")
    entries: dict[str, Mapping[str, Any]] = {}
    for number, entry in enumerate(given, start=1):
        place = f"clusters[{number}]"
        if not isinstance(entry, Mapping):
            problems.append(f"`{place}`: {entry!r} is no mapping. Write `name` and the connection of the cluster.")
            continue
        problems += [_unknown(place, str(key)) for key in entry if key not in (*_OWN, *CONNECTION)]
        name = str(entry.get("name") or "")
        if not _NAME.fullmatch(name):
            problems.append(f"`{place}.name`={name!r}: give each cluster a name of letters, digits, '-' and '_'.")
        elif name in entries:
            problems.append(f"`{place}.name`={name!r} is taken already. Give each cluster another name.")
        else:
            entries[name] = {**{key: options.get(key) for key in ("host_prefix", "host_suffix")}, **entry}
    return entries


def _unknown(place: str, key: str) -> str:
    known = (*_OWN, *CONNECTION)
    close = difflib.get_close_matches(key, known, n=1)
    remedy = f"Did you mean `{close[0]}`?" if close else f"Known keys: {', '.join(known)}."
    return f"`{place}`: unknown key {key!r}. {remedy}"


def _merged(
    entries: Mapping[str, Mapping[str, Any]], options: Mapping[str, Any], environ: Mapping[str, str]
) -> list[tuple[str, dict[str, Any], dict[str, str]]]:
    """Name, connection options and environment of each cluster.

    What stands beside C(clusters) holds for all of them, credentials and trust as a whole. A named cluster has
    variables of its own: PROXMOX_LAB_HOST is for the cluster lab what PROXMOX_HOST is for a single one.
    """
    found: list[tuple[str, dict[str, Any], dict[str, str]]] = []
    for name, entry in entries.items():
        if not name:
            found.append((name, {key: options.get(key) for key in CONNECTION}, dict(environ)))
            continue
        given = {key: entry.get(key) for key in CONNECTION}
        prefix = variable_prefix(name)
        variables = {
            "PROXMOX_" + key.removeprefix(prefix): value for key, value in environ.items() if key.startswith(prefix)
        }
        # A file of its own says who and whom to trust; options beside `clusters` would overrule it.
        filed = bool(given["connection_file"]) or "PROXMOX_CONNECTION_FILE" in variables
        for group in (_CREDENTIALS, _TRUST, ("timeout",), ("request_timeout",), ("connection_file",)):
            own = any(given[key] not in (None, "") for key in group)
            elsewhere = filed or any("PROXMOX_" + key.removeprefix("api_").upper() in variables for key in group)
            if not own and not elsewhere:
                given |= {key: options.get(key) for key in group}
        found.append((name, given, variables))
    return found


def variable_prefix(name: str) -> str:
    """What the environment variables of a named cluster begin with."""
    return f"PROXMOX_{name.upper().replace('-', '_')}_"


def _connection(
    name: str, given: Mapping[str, Any], variables: Mapping[str, str], problems: list[str]
) -> Connection | None:
    try:
        return connection_from(given, variables)
    except ConnectionOptionError as error:
        if not name:
            problems += error.problems
        else:
            own = variable_prefix(name)
            problems += [f"cluster {name}: {text.replace('PROXMOX_', own)}" for text in error.problems]
        return None


def _affixes(entry: Mapping[str, Any]) -> Affixes:
    return Affixes(str(entry.get("host_prefix") or ""), str(entry.get("host_suffix") or ""))


# --- the rest


def _conditions(option: str, options: Mapping[str, Any], problems: list[str]) -> tuple[Condition, ...]:
    read = [condition(f"{option}[{n}]", value, problems) for n, value in enumerate(options.get(option) or (), start=1)]
    return tuple(one for one in read if one is not None)


def _host_rule(options: Mapping[str, Any], *, per_cluster: bool, problems: list[str]) -> HostRule:
    networks: list[Network] = []
    for text in options["address_networks"] or ():
        try:
            networks.append(ipaddress.ip_network(str(text), strict=False))
        except ValueError:
            problems.append(f"`address_networks`: {text!r} is no network. Write it such as 10.0.0.0/8 or fd00::/8.")
    prefix = str(options["var_prefix"] or "")
    if not re.fullmatch(r"(?:[A-Za-z_][A-Za-z0-9_]*)?", prefix, re.ASCII):
        problems.append(f"`var_prefix`={prefix!r} cannot begin a variable. Use letters, digits and '_'.")
    address = AddressRule(
        sources=tuple(options["address_from"] or ()),
        families=tuple(FAMILIES[name] for name in options["address_families"] or ()),
        networks=tuple(networks),
    )
    return HostRule(
        var_prefix=prefix,
        group_prefix=str(options["group_prefix"] or ""),
        group_kinds=tuple(options["native_groups"] or ()),
        address=address,
        per_cluster=per_cluster,
    )


def _digest(options: Mapping[str, Any], clusters: tuple[ClusterSource, ...]) -> str:
    """Of what is asked of whom, and as whom: what another user may see is another reading."""
    asked = {name: options.get(name) for name in _READING}
    whom = [[one.name, one.connection.host, one.connection.port, one.connection.identity] for one in clusters]
    text = json.dumps([asked, whom], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
