# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(homelab logs): the runs there are, and what one of them did."""

from __future__ import annotations

import argparse
import itertools
import json
import time
import typing as t

from . import runs
from .context import Context
from .exits import Exit, Trouble
from .progress import plain
from .runs import Run
from .speech import out

SHOWN = 20


def logs(context: Context, options: argparse.Namespace) -> int:
    """A table of runs, or one run."""
    paths = context.paths
    if options.run is None:
        table(list(itertools.islice(runs.all_runs(paths.runs, paths.logs), options.count)), options.json)
        return Exit.OK
    found = runs.find(paths.runs, paths.logs, options.run)
    if not found:
        raise Trouble(Exit.USAGE, f"there is no run {options.run!r}. homelab logs lists them")
    if options.json:
        for line in runs.log_lines(found[0]):
            out(json.dumps(line, ensure_ascii=False))
        return Exit.OK
    out("\n".join(head(found[0])))
    follow(found[0]) if options.follow else out(output(found[0]), end="")
    return Exit.OK


def table(found: list[Run], as_json: bool) -> None:
    """One line for each run."""
    facts = [run.read() for run in found]
    if as_json:
        out(json.dumps(facts, ensure_ascii=False, indent=1))
        return
    for one in facts:
        out("  ".join(row(one)).rstrip())
    if not facts:
        out("No run yet. homelab list shows what can be run.")


def row(facts: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    """What a table says of a run."""
    begin = str(facts.get("begin", ""))[:16].replace("T", " ")
    seconds = facts.get("seconds")
    took = f"{seconds:.0f} s" if isinstance(seconds, (int, float)) else ""
    action = f"{facts.get('action', '')}{' (check)' if facts.get('check') else ''}"
    return begin, f"{facts.get('status', '?'):<8}", f"{took:>7}", f"{action:<26}", facts.get("id", "")


def head(run: Run) -> list[str]:
    """What is known of a run besides its output."""
    facts = run.read()
    lines = [f"{facts.get('title', '')}: {facts.get('status', 'unknown')}"]
    lines.append(f"begun {facts.get('begin', '')}, by {facts.get('user', '')}; playbook {facts.get('playbook', '')}")
    if facts.get("limit"):
        lines.append(f"limit {facts['limit']}")
    for name, value in (facts.get("extra_vars") or {}).items():
        lines.append(f"  {name} = {value}")
    for word in ("failed", "unreachable"):
        if facts.get(word):
            lines.append(f"{word}: {', '.join(facts[word])}")
    if facts.get("message"):
        lines.append(str(facts["message"]))
    return [*lines, ""]


def output(run: Run) -> str:
    """What Ansible said, without colours."""
    try:
        text = run.output.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "".join(f"{plain(line)}\n" for line in text.splitlines())


def follow(run: Run, every: float = 0.3) -> None:
    """Show the output as it grows, until the run ends."""
    shown = 0
    over = False
    while not over:
        over = run.read().get("status") != runs.RUNNING
        text = output(run)
        out(text[shown:], end="")
        shown = len(text)
        if not over:
            time.sleep(every)
