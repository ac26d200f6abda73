# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(homelab status): how things stand, from what the last runs found; nothing is asked over the network.

What nobody looked at yet is said to be unknown, with the action that would find it out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import typing as t
from collections import Counter
from datetime import UTC, datetime

from . import runs
from .context import Context
from .exits import Exit
from .logs import row
from .runs import Run
from .speech import out

STALE_HOURS = 36
"""After that, what a run found is marked old."""
_LAST = 5


def status(context: Context, options: argparse.Namespace) -> int:
    """Print it. The exit status is 1 where something is known to be out of order."""
    found = collect(context, datetime.now(UTC))
    if options.json:
        out(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        out("\n".join(lines(found)))
    return Exit.OK if found["ok"] else Exit.FAILED


def collect(context: Context, now: datetime) -> dict[str, t.Any]:
    """How things stand, as JSON. C(ok) is false only for what is known to be wrong; services of nodes are warnings."""
    every = list(runs.all_runs(context.paths.runs, context.paths.logs))
    health, updates = _latest(every, "homelab_health", now), _latest(every, "homelab_updates", now)
    services = _services()
    wrong = [
        *(f"{name}: {one['message']}" for name, one in _trouble(health) if one.get("level") == "error"),
        *(f"{unit['name']} failed" for unit in services or [] if unit["state"] == "failed"),
    ]
    return {
        "ok": not wrong,
        "wrong": wrong,
        "warnings": [f"{name}: {text}" for name, node in _systems(health) for text in _down(node)],
        "health": health,
        "updates": updates,
        "services": services,
        "runs": [run.read() for run in every[:_LAST]],
        "running": [run.id for run in every if run.process() is not None],
    }


def lines(found: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """The same for people."""
    yield from _health_lines(found["health"])
    yield from _update_lines(found["updates"])
    yield "Services"
    if found["services"] is None:
        yield "  unknown: there is no systemd here"
    elif not found["services"]:
        yield "  none of homelab's units is installed here"
    for unit in found["services"] or []:
        yield f"  {unit['name']:<32} {unit['state']}"
    yield "Last runs"
    if not found["runs"]:
        yield "  none yet"
    for facts in found["runs"]:
        yield f"  {'  '.join(row(facts))}".rstrip()
    if found["wrong"]:
        yield "Out of order"
        yield from (f"  {one}" for one in found["wrong"])


def _health_lines(health: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    yield f"Nodes{_when(health)}"
    if not health["hosts"]:
        yield "  unknown: homelab run health finds it out"
    for host, one in health["hosts"].items():
        for node in one.get("nodes", []):
            yield f"  {host}/{node.get('subject')}: {node.get('level')}, {node.get('message')}"
    for name, system in _systems(health):
        yield from (f"  {name}: warning, {text}" for text in _down(system))
        yield from _unknown_line(name, system, "services")
    yield f"Templates{_when(health)}"
    if not health["hosts"]:
        yield "  unknown: homelab run health finds it out"
    for host, one in health["hosts"].items():
        for template in one.get("templates", []):
            place = f"{host}/{template.get('node')}"
            yield f"  {template.get('line')} on {place}: {template.get('age_days')} days old, VM {template.get('vmid')}"
        if not one.get("templates"):
            yield f"  {host}: none"


def _update_lines(updates: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    yield f"Pending updates{_when(updates)}"
    if not updates["hosts"]:
        yield "  unknown: homelab run updates finds it out"
    for host, one in updates["hosts"].items():
        newer, unknown = one.get("newer") or [], one.get("unknown") or []
        yield f"  {host}: {', '.join(newer) if newer else 'no newer image'}"
        if unknown:
            yield f"  {host}: unknown for {', '.join(unknown)}"
    for name, system in _systems(updates):
        if system.get("updates") is not None:
            yield f"  {name}: {_packages(system['updates'])}"
        yield from _unknown_line(name, system, "updates", "packages")


def _systems(found: t.Mapping[str, t.Any]) -> t.Iterator[tuple[str, t.Mapping[str, t.Any]]]:
    """The nodes of every cluster, as homelab.proxmox.node_info tells of them."""
    for host, one in found["hosts"].items():
        for system in one.get("systems", []):
            yield f"{host}/{system.get('node')}", system


def _down(system: t.Mapping[str, t.Any]) -> list[str]:
    """The services that should run and do not."""
    return [
        f"{service.get('service')} is {service.get('active_state')} ({service.get('description')})"
        for service in system.get("services") or []
    ]


def _packages(pending: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """How many, and of whom. Proxmox VE does not tell which of them are about security."""
    if not pending:
        return "no packages"
    origins = Counter(str(package.get("origin")) for package in pending)
    of_whom = ", ".join(f"{origin} {count}" for origin, count in sorted(origins.items()))
    return f"{len(pending)} package{'' if len(pending) == 1 else 's'} ({of_whom})"


def _unknown_line(name: str, system: t.Mapping[str, t.Any], part: str, title: str = "") -> t.Iterator[str]:
    reason = (system.get("unknown") or {}).get(part)
    if reason:
        yield f"  {name}: {title or part} unknown, {reason}"


def _when(found: t.Mapping[str, t.Any]) -> str:
    if found["hours"] is None:
        return ""
    old = ", old" if found["hours"] > STALE_HOURS else ""
    return f" ({found['hours']:.0f} h ago{old})" if found["hours"] >= 1 else " (just now)"


def _latest(every: t.Sequence[Run], name: str, now: datetime) -> dict[str, t.Any]:
    """What the last run that published it found."""
    for run in every:
        facts = run.read()
        hosts = (facts.get("facts") or {}).get(name)
        if isinstance(hosts, dict) and hosts:
            begun = datetime.fromisoformat(facts["begin"])
            return {"hosts": hosts, "run": run.id, "hours": round((now - begun).total_seconds() / 3600, 1)}
    return {"hosts": {}, "run": None, "hours": None}


def _trouble(health: t.Mapping[str, t.Any]) -> t.Iterator[tuple[str, t.Mapping[str, t.Any]]]:
    for host, one in health["hosts"].items():
        for finding in one.get("trouble", []):
            yield f"{host}/{finding.get('subject')}", finding


def _services() -> list[dict[str, str]] | None:
    """The state of our units on this machine; None where it cannot be known."""
    program = shutil.which("systemctl")
    if program is None:
        return None
    command = [program, "list-units", "--all", "--plain", "--no-legend", "--no-pager", "homelab*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    units = [line.split(None, 4) for line in done.stdout.splitlines() if line.strip()]
    return [{"name": unit[0], "state": unit[2]} for unit in units if len(unit) > 3]
