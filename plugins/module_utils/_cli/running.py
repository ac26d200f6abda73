# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(homelab run) and C(homelab cancel)."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from .._actions.model import Action, ActionError, Danger, Invocation
from .._actions.resolve import assignments, find, resolve
from . import runs
from .cancel import Canceler
from .context import Context
from .engine import Ended, execute
from .exits import Exit, Trouble
from .processes import lives, send
from .speech import err, out

CANCEL_PATIENCE = 60.0
"""Seconds: more than all steps of a cancellation together."""


def run(context: Context, options: argparse.Namespace) -> int:
    """Run an action to its end."""
    invocation = invocation_of(context, options)
    confirm(context, invocation, options.yes)
    ended = execute(context, invocation, err)
    if options.json:
        out(json.dumps(ended.run.read(), ensure_ascii=False, indent=1))
    err(summary(invocation.action, ended))
    return ended.status


def invocation_of(context: Context, options: argparse.Namespace) -> Invocation:
    """What the options come to. Raises ActionError."""
    action = find(context.registry, options.action)
    given = given_values(context, action, options)
    return resolve(action, given, limit=options.limit, check=options.check, diff=options.diff)


def given_values(context: Context, action: Action, options: argparse.Namespace) -> dict[str, str]:
    """The values of --set and --set-from by parameter. Raises ActionError, Trouble."""
    given = assignments(options.set)
    for name in given:
        one = action.parameter(name)
        if one is not None and one.secret:
            raise ActionError(
                f"{action.id}: {one.name} is a secret, and arguments can be seen by everybody on this machine. Give "
                f"--set-from {one.name}=env:VARIABLE, {one.name}=file:PATH, or {one.name}=- for standard input"
            )
    sources = assignments(options.set_from)
    if twice := sorted(given.keys() & sources.keys()):
        raise ActionError(f"--set and --set-from both give {', '.join(twice)}")
    return {**given, **{name: fetch(source, context.environ) for name, source in sources.items()}}


def fetch(source: str, environ: Mapping[str, str]) -> str:
    """A value out of the environment, a file, or standard input. Raises ActionError."""
    kind, _colon, name = source.partition(":")
    if source == "-":
        return sys.stdin.readline().rstrip("\n")
    if kind == "env" and name:
        if name not in environ:
            raise ActionError(f"--set-from {source}: that environment variable is not set")
        return environ[name]
    if kind == "file" and name:
        try:
            with Path(name).expanduser().open(encoding="utf-8") as stream:
                return stream.read().removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise ActionError(f"--set-from {source}: {reason}") from None
    raise ActionError(f"--set-from {source[:20]!r}: write env:VARIABLE, file:PATH or -")


def confirm(context: Context, invocation: Invocation, yes: bool) -> None:
    """Let a person type the action's id before something is destroyed. Raises Trouble."""
    action = invocation.action
    if action.danger is not Danger.DESTRUCTIVE or invocation.check or yes:
        return
    if not context.terminal:
        raise Trouble(
            Exit.UNCONFIRMED, f"{action.id} is destructive, and nobody can be asked here. Give --yes, or --check first"
        )
    err(f"{action.title}: {action.help}\nThis cannot be undone. Type {action.id} to go on: ", end="")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != action.id:
        raise Trouble(Exit.UNCONFIRMED, "not confirmed; nothing was done")


def summary(action: Action, ended: Ended) -> str:
    """One line on how a run ended."""
    words = f"{action.title}: {ended.word} after {ended.seconds:.0f} s, {ended.tally.changed} changed"
    return f"{words}. Details: homelab logs {ended.run.id}"


def cancel(context: Context, options: argparse.Namespace) -> int:
    """Ask a run to end, and wait until it has."""
    run_ = _running(context, options.run)
    process, ansible = run_.process(), run_.ansible()
    if process is not None:
        send([process], signal.SIGTERM)
        end = time.monotonic() + CANCEL_PATIENCE
        while lives(process) and run_.read().get("status") == runs.RUNNING:
            if time.monotonic() > end:
                raise Trouble(Exit.FAILED, f"{run_.id} was asked to end and still runs (process {process[0]})")
            time.sleep(0.1)
    elif ansible is not None:
        _end_orphan(ansible[0])
    run_status = run_.read().get("status")
    if run_status in (runs.RUNNING, runs.LOST):
        run_.update(status=runs.CANCELED, end=datetime.now(UTC).isoformat(timespec="seconds"), ansible=None)
        run_status = runs.CANCELED
    out(f"{run_.id}: {run_status}")
    return Exit.OK


def _running(context: Context, said: str | None) -> runs.Run:
    paths = context.paths
    candidates = runs.find(paths.runs, paths.logs, said) if said else list(runs.all_runs(paths.runs, paths.logs))
    alive = [one for one in candidates if one.process() is not None or one.ansible() is not None]
    if said and not candidates:
        raise Trouble(Exit.USAGE, f"there is no run {said!r}. homelab logs lists them")
    if not alive:
        raise Trouble(Exit.USAGE, f"{said or 'no run'} {'does not run' if said else 'is running'}")
    if len(alive) > 1:
        raise Trouble(Exit.USAGE, f"several runs are running; name one of {', '.join(one.id for one in alive)}")
    return alive[0]


def _end_orphan(pid: int) -> None:
    """The ansible-playbook of a run that was killed."""
    canceler = Canceler(err)
    canceler.ask("its run is gone")
    canceler.work(lambda: [pid])
    while not canceler.is_over:
        time.sleep(0.2)
        canceler.work(lambda: [pid])
