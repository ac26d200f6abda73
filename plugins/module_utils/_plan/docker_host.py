# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done on one Docker host, from what is declared and what its survey found."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .docker_daemon import effects, merged, remembered, wanted_settings
from .docker_project import Project
from .docker_project import refusals as project_refusals
from .docker_rules import Ground
from .docker_rules import refusals as daemon_refusals
from .plan import Refusal

CERTIFICATES = "/etc/docker/certs.d"
_REGISTRY = re.compile(r"(\[[0-9a-f:]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:[0-9]{1,5})?", re.IGNORECASE)
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"


def plan(options: Mapping[str, Any], survey: Mapping[str, Any], projects: Iterable[Project]) -> dict[str, Any]:
    """All decisions of the role as one value. C(refusals) are sentences; with one, nothing else is to be done."""
    projects = tuple(projects)
    problems = [*_unreadable(survey)]
    existing = _loaded(survey, "daemon_json")
    former = _loaded(survey, "state")
    wanted = wanted_settings(options)
    settings = merged(existing, former.get("settings", {}), wanted)
    ground = Ground(
        routes=survey["routes"],
        reserved=options["reserved_networks"],
        version=survey["version"],
        swarm=survey["swarm"],
        limits={} if survey["may_raise"] else {n: most for n, most in survey["limits"].items() if most is not None},
    )
    trust, hosts = _trust(options["registries"])
    stale_hosts = sorted(set(former.get("registries", [])) - set(hosts))
    former_users = set(former.get("users", []))
    users = list(dict.fromkeys(options["users"]))
    state = {"settings": wanted, "users": sorted(users), "registries": sorted(hosts)}
    problems += daemon_refusals(settings, ground)
    problems += [*_registry_refusals(options["registries"]), *project_refusals(projects)]
    problems += [*_users(options, survey), *_packages(options, survey)]
    return {
        "refusals": [str(problem) for problem in problems],
        "settings": settings,
        "text": json.dumps(settings, indent=2, sort_keys=True) + "\n",
        "effects": effects(settings),
        "trust": trust,
        "trust_folders": [f"{CERTIFICATES}/{host}" for host in hosts],
        "stale_folders": [f"{CERTIFICATES}/{host}" for host in stale_hosts],
        "users": sorted(set(users) - set(survey["members"])),
        "stale_users": sorted((former_users - set(users)) & set(survey["members"])),
        "state": state,
        "state_meanwhile": {
            "settings": remembered(former.get("settings", {}), wanted),
            "users": sorted(former_users | set(users)),
            "registries": sorted({*former.get("registries", []), *hosts}),
        },
        "state_now": former,
        "projects": [project.payload() for project in projects],
    }


def _loaded(survey: Mapping[str, Any], name: str) -> dict[str, Any]:
    try:
        value = json.loads(survey[name] or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _unreadable(survey: Mapping[str, Any]) -> Iterator[Refusal]:
    text = survey["daemon_json"]
    if not text or not text.strip():
        return
    try:
        reason = "" if isinstance(json.loads(text), dict) else "it holds no object"
    except ValueError as error:
        reason = f"it is no JSON: {error}"
    if reason:
        remedy = "Correct the file, or move it away; what this role wants is written anew"
        yield Refusal(subject="this host", option="file", value="/etc/docker/daemon.json", reason=reason, remedy=remedy)


def _users(options: Mapping[str, Any], survey: Mapping[str, Any]) -> Iterator[Refusal]:
    for name in sorted(set(options["users"]) - set(survey["accounts"])):
        yield Refusal(
            subject="this host",
            option="docker_users",
            value=name,
            reason="there is no such user",
            remedy="Make the user first, or take the name out",
        )


def _packages(options: Mapping[str, Any], survey: Mapping[str, Any]) -> Iterator[Refusal]:
    """The engine is never changed by the way: that is what docker_upgrade is for, which can go back."""
    version, wanted = survey["packages"].get(options["engine_package"], ""), options["version"]
    if wanted and version and not fnmatch.fnmatchcase(version, wanted):
        remedy = "Run homelab.proxmox.docker_upgrade, which goes back to the old version if the new one fails"
        reason = f"{options['engine_package']} {version} is installed"
        yield Refusal(subject="this host", option="docker_version", value=wanted, reason=reason, remedy=remedy)
    others = sorted(set(survey["packages"]) & set(options["conflicting_packages"]))
    if others and not options["replace_conflicting"]:
        reason = f"{', '.join(others)} would have to go"
        remedy = "Remove them, or set docker_replace_conflicting: true; containers and images stay on the disk"
        yield Refusal(
            subject="this host", option="docker_source", value=options["source"], reason=reason, remedy=remedy
        )
    if re.search(r"^net\.ipv4\.ip_forward *= *0", survey["hardening"] or "", re.MULTILINE):
        reason = "the baseline of the role hardening on this host switches forwarding off, which cuts off containers"
        remedy = "Add docker to hardening_workloads and run homelab.proxmox.hardening first"
        yield Refusal(subject="this host", option="net.ipv4.ip_forward", value=0, reason=reason, remedy=remedy)


def _trust(registries: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """The files below certs.d, and the names of their folders."""
    files, hosts = [], []
    for registry in registries:
        host = _folder(str(registry["host"]))
        hosts.append(host)
        for name, option in (("ca.crt", "ca"), ("client.cert", "client_cert"), ("client.key", "client_key")):
            if registry.get(option):
                content = str(registry[option]).rstrip("\n") + "\n"
                secret = option == "client_key"
                mode = "0600" if secret else "0644"
                path = f"{CERTIFICATES}/{host}/{name}"
                files.append({"path": path, "content": content, "mode": mode, "secret": secret})
    return files, hosts


def _folder(host: str) -> str:
    # Docker looks without the port where it is the usual one (moby, registry/config).
    return host.removesuffix(":443")


def _registry_refusals(registries: Iterable[Mapping[str, Any]]) -> Iterator[Refusal]:
    seen: set[str] = set()
    for registry in registries:
        host = str(registry["host"])
        if not _REGISTRY.fullmatch(host):
            yield _registry(host, "host", host, "this is no host, or host and port", "Write registry.lan:5000")
        if _folder(host) in seen:
            yield _registry(host, "host", host, "it is declared twice", "Put both certificates into one ca")
        seen.add(_folder(host))
        for option in ("ca", "client_cert"):
            if registry.get(option) and _CERTIFICATE not in str(registry[option]):
                yield _registry(host, option, "...", "this is no certificate in PEM", "Give the text, not a path")
        if bool(registry.get("client_cert")) != bool(registry.get("client_key")):
            yield _registry(host, "client_cert", "...", "certificate and key go together", "Give both or none")


def _registry(host: str, option: str, value: object, reason: str, remedy: str) -> Refusal:
    return Refusal(subject=f"docker_registries: {host}", option=option, value=value, reason=reason, remedy=remedy)
