# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one invocation with ansible-runner: a folder, a lock, a log, live progress, and an end that can be asked for."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import time
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from .._actions.model import Action, Invocation
from . import runs
from .cancel import Canceler
from .context import COLLECTIONS, Context
from .exits import Exit, Trouble
from .files import write_json
from .journal import JOURNAL, Journal
from .locks import Busy, locked, target_of
from .processes import boot, children, identity
from .progress import Say, Step, Tally, Watcher, unhindered
from .runs import Run
from .surroundings import environment_of, inventory_of, reports_of

try:
    import ansible_runner
except ImportError:
    HAS_RUNNER = False
else:
    HAS_RUNNER = True

BOOTSTRAP = COLLECTIONS / "ansible_collections" / "homelab" / "proxmox" / "bootstrap.sh"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended."""

    run: Run
    status: Exit
    word: str
    """C(ok), C(failed) or C(canceled)."""
    tally: Tally
    seconds: float


def execute(context: Context, invocation: Invocation, say: Say, step: Step = lambda _tasks: None) -> Ended:
    """Run it to its end. C(step) hears how many tasks have begun. Raises Trouble, ConfigError when it cannot begin."""
    if not HAS_RUNNER:
        raise Trouble(Exit.INCOMPLETE, "runs need the Python library ansible-runner. Install it beside ansible-core")
    context.effective.require()
    _require_root(invocation.action)
    say = unhindered(say)
    inventory = inventory_of(context, invocation)
    try:
        runs.forget_secrets(context.paths.runs, context.paths.logs)
        run = runs.begin(context.paths.runs, context.paths.logs, invocation)
    except OSError as error:
        raise Trouble(Exit.CONFIGURATION, f"{error.filename}: {error.strerror}: a run needs a folder there") from None
    lock = locked(context.paths.state / "locks", target_of(invocation), run.id, _holds(context))
    try:
        with lock, _journal(context, invocation, run) as journal:
            watcher = Watcher(say, journal.say, step)
            ended = _lead(Job(context, invocation, inventory, run, watcher, Canceler(say)), journal)
    except Busy as busy:
        run.update(status=runs.FAILED, end=_now(), message=str(busy))
        remedy = f"Wait for it, or end it: homelab cancel {busy.run}" if busy.run else "Wait for it"
        raise Trouble(Exit.BUSY, f"{busy}. {remedy}") from None
    except BaseException:
        run.update(status=runs.FAILED, end=_now())
        raise
    keep, days = context.setting("runs.keep", runs.KEEP_RUNS), context.setting("logging.keep_days", runs.KEEP_DAYS)
    runs.prune(context.paths.runs, context.paths.logs, datetime.now(UTC), keep, days)
    return ended


def _require_root(action: Action) -> None:
    """Say at once what Ansible would only find out in the middle. Raises Trouble."""
    if not action.root or os.geteuid() == 0 or _may_become_root():
        return
    raise Trouble(
        Exit.DENIED,
        f"{action.id} changes this machine as root, which this account may not. Run {BOOTSTRAP} --yes as root, which "
        "does the same",
    )


def _may_become_root() -> bool:
    """Whether sudo asks nothing, as Ansible needs it without a terminal."""
    try:
        done = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _journal(context: Context, invocation: Invocation, run: Run) -> Journal:
    level = context.setting("logging.level", "info")
    return Journal(
        run.id, run.log, invocation.action.id, level, JOURNAL if context.setting("logging.journal", True) else None
    )


@dataclass(frozen=True, slots=True)
class Job:
    """A run that has a folder and its lock."""

    context: Context
    invocation: Invocation
    inventory: list[str]
    run: Run
    watcher: Watcher
    canceler: Canceler


def _lead(job: Job, journal: Journal) -> Ended:
    begun = time.monotonic()
    title = job.invocation.action.title
    shown = job.invocation.shown()
    shown.pop("action")
    journal.say("begin", f"{title} begins", "notice", **shown)
    with _secrets(job.run, job.invocation) as files, _signals(job.canceler):
        rc = _play(job, files)
    job.canceler.finish()
    tally, seconds = job.watcher.tally, round(time.monotonic() - begun, 1)
    word, status = _outcome(rc, job.canceler.asked, tally)
    message = None
    if status is Exit.OK and not tally.hosts:
        # Ansible calls that a success.
        word, status = runs.FAILED, Exit.CONFIGURATION
        message = f"no host was matched: the inventory has none in {job.invocation.action.target}, or the limit none"
        job.watcher.note(message)
    job.run.update(
        status=word,
        end=_now(),
        seconds=seconds,
        rc=rc,
        exit=int(status),
        tasks=tally.tasks,
        changed=tally.changed,
        failed=sorted(set(tally.failed)),
        unreachable=sorted(set(tally.unreachable)),
        hosts=tally.hosts,
        facts=tally.facts,
        message=message,
        ansible=None,
    )
    level = "notice" if status is Exit.OK else "error"
    journal.say("end", f"{title}: {word}", level, status=word, rc=rc, seconds=seconds)
    return Ended(run=job.run, status=status, word=word, tally=tally, seconds=seconds)


def _outcome(rc: int, canceled: bool, tally: Tally) -> tuple[str, Exit]:
    if canceled and rc != 0:
        return runs.CANCELED, Exit.CANCELED
    if rc == 0:
        return runs.OK, Exit.OK
    if tally.unreachable and not tally.failed:
        return runs.FAILED, Exit.UNREACHABLE
    return runs.FAILED, Exit.FAILED


def _play(job: Job, files: list[Path]) -> int:
    """Let ansible-runner work in a thread, since signals come to this one. Returns the status of ansible-playbook."""
    runner = ansible_runner.Runner(
        config=_runner_config(job, files), event_handler=_noting(job), status_handler=_forgetting(job.run)
    )
    thread = threading.Thread(target=runner.run, name="ansible-runner", daemon=True)
    before = set(children(os.getpid()))
    thread.start()

    def begun() -> list[int]:
        return [pid for pid in children(os.getpid()) if pid not in before]

    try:
        while thread.is_alive():
            thread.join(0.2)
            job.canceler.work(begun)
    finally:
        if thread.is_alive():
            # Something went wrong here; nobody would look after Ansible.
            job.canceler.kill(begun)
    return runner.rc if isinstance(runner.rc, int) else 1


def _runner_config(job: Job, files: list[Path]) -> t.Any:
    invocation = job.invocation
    arguments = [f"-e @{shlex.quote(str(file))}" for file in files]
    arguments += [flag for flag, on in (("--check", invocation.check), ("--diff", invocation.diff)) if on]
    config = ansible_runner.RunnerConfig(
        private_data_dir=str(job.run.folder),
        project_dir=str(reports_of(job.context)),
        playbook=invocation.playbook,
        inventory=job.inventory,
        limit=invocation.limit or None,
        cmdline=" ".join(arguments),
        envvars=environment_of(job.context, job.run.id),
        settings={"pexpect_timeout": 1, "suppress_ansible_output": True},
        ident="run",
        fact_cache_type="memory",
        quiet=True,
    )
    config.prepare()
    return config


def _noting(job: Job) -> t.Callable[[dict[str, t.Any]], bool]:
    """Takes events, and writes down once which process Ansible is."""
    noted = threading.Event()

    def take(event: dict[str, t.Any]) -> bool:
        job.watcher.take(event)
        if not noted.is_set() and (process := identity(job.watcher.tally.ansible or 0)):
            noted.set()
            job.run.update(ansible=process, boot=boot())
        return True

    return take


def _forgetting(run: Run) -> t.Callable[..., None]:
    """ansible-runner writes down the whole environment, in which secrets may be."""

    def changed(status: dict[str, t.Any], **_unused: t.Any) -> None:
        if status.get("status") == "running":
            write_json(run.folder / "artifacts" / "run" / "command", {"command": "see run.json"})

    return changed


@contextmanager
def _secrets(run: Run, invocation: Invocation) -> Iterator[list[Path]]:
    """The variables in files that only we can read; the one with secrets is there as long as the run."""
    plain, secret = run.folder / "extra_vars.json", run.secrets
    try:
        write_json(plain, {"homelab_run_id": run.id, **invocation.variables})
        if invocation.secrets:
            write_json(secret, dict(invocation.secrets))
        yield [plain, secret] if invocation.secrets else [plain]
    finally:
        secret.unlink(missing_ok=True)


@contextmanager
def _signals(canceler: Canceler) -> Iterator[None]:
    """Let a signal ask for the end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _frame: FrameType | None) -> None:
        canceler.ask(signal.Signals(number).name)

    former = {number: signal.signal(number, ask) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _holds(context: Context) -> t.Callable[[str], bool]:
    def holds(name: str) -> bool:
        found = [run for run in runs.find(context.paths.runs, context.paths.logs, name) if run.id == name]
        return bool(found and found[0].ansible())

    return holds


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
