# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs: a folder for each below the state, with what was run, how it went, and what Ansible said."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import typing as t
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .._actions.model import Invocation
from .files import make_folder, read_json, write_json
from .processes import Process, boot, identity, lives

KEEP_RUNS = 100
KEEP_DAYS = 90
_ID = re.compile(r"\d{8}T\d{6}Z-[a-z0-9-]+-[0-9a-f]{4}")

# What a run can be; the last one is found by looking at its process.
RUNNING, OK, FAILED, CANCELED, LOST = "running", "ok", "failed", "canceled", "lost"


@dataclass(frozen=True, slots=True)
class Run:
    """One run. C(log) is its file of JSON lines."""

    folder: Path
    log: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def output(self) -> Path:
        """What Ansible wrote on its screen."""
        return self.folder / "artifacts" / "run" / "stdout"

    @property
    def facts(self) -> Path:
        return self.folder / "run.json"

    @property
    def secrets(self) -> Path:
        """Variables that are secret, in a file that is there as long as the run."""
        return self.folder / "secrets.json"

    def read(self) -> dict[str, t.Any]:
        """What is known of it. A run whose process is gone without a word is C(lost)."""
        found = read_json(self.facts)
        if found.get("status") == RUNNING and not _is_here(found, "process"):
            found["status"] = LOST
        return found

    def update(self, **facts: t.Any) -> None:
        """Write down more of it. Raises OSError."""
        write_json(self.facts, {**read_json(self.facts), **facts})

    def ansible(self) -> Process | None:
        """The ansible-playbook of the run, as long as it lives; also when the run itself was killed."""
        found = read_json(self.facts)
        return _process(found, "ansible") if _is_here(found, "ansible") else None

    def process(self) -> Process | None:
        """The process that leads the run, as long as it lives."""
        found = read_json(self.facts)
        return _process(found, "process") if _is_here(found, "process") else None


def begin(runs: Path, logs: Path, invocation: Invocation) -> Run:
    """A folder for a new run. Raises OSError."""
    now = datetime.now(UTC)
    make_folder(runs)
    make_folder(logs)
    name = f"{now:%Y%m%dT%H%M%SZ}-{invocation.action.id}-{secrets.token_hex(2)}"
    run = Run(runs / name, logs / f"{name}.jsonl")
    run.folder.mkdir(mode=0o700)
    run.update(
        id=name,
        status=RUNNING,
        begin=now.isoformat(timespec="seconds"),
        boot=boot(),
        process=identity(os.getpid()),
        user=os.environ.get("SUDO_USER") or os.environ.get("USER") or str(os.getuid()),
        title=invocation.action.title,
        **invocation.shown(),
    )
    return run


def all_runs(runs: Path, logs: Path) -> Iterator[Run]:
    """Every run that is kept, the newest first."""
    names = sorted((entry.name for entry in _entries(runs) if _ID.fullmatch(entry.name)), reverse=True)
    for name in names:
        yield Run(runs / name, logs / f"{name}.jsonl")


def find(runs: Path, logs: Path, said: str) -> list[Run]:
    """The runs that begin with that id, or are of that action; the newest first."""
    every = list(all_runs(runs, logs))
    return [run for run in every if run.id.startswith(said)] or [run for run in every if run.id[17:-5] == said]


def prune(runs: Path, logs: Path, now: datetime, keep: int = KEEP_RUNS, days: int = KEEP_DAYS) -> list[str]:
    """Remove runs that are too many or too old, with their logs; one that still runs stays. Returns their ids."""
    gone = []
    for number, run in enumerate(list(all_runs(runs, logs))):
        begun = datetime.strptime(run.id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if number < keep and (now - begun).days < days:
            continue
        if run.process() is not None or run.ansible() is not None:
            continue
        run.log.unlink(missing_ok=True)
        shutil.rmtree(run.folder, ignore_errors=True)
        gone.append(run.id)
    return gone


def forget_secrets(runs: Path, logs: Path) -> None:
    """Remove what runs that were killed left of their secrets."""
    for run in all_runs(runs, logs):
        if run.secrets.exists() and run.process() is None and run.ansible() is None:
            run.secrets.unlink(missing_ok=True)


def log_lines(run: Run) -> Iterator[dict[str, t.Any]]:
    """The lines of a run's log; what is no whole line is left out."""
    try:
        with run.log.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue
    except OSError:
        return


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return [entry for entry in found if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _process(facts: dict[str, t.Any], name: str) -> Process | None:
    found = facts.get(name)
    if isinstance(found, list) and len(found) == 2 and isinstance(found[0], int):
        return found[0], str(found[1])
    return None


def _is_here(facts: dict[str, t.Any], name: str) -> bool:
    process = _process(facts, name)
    return process is not None and facts.get("boot") == boot() and lives(process)
