# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only one who acts inside of guests: runs commands, and writes, removes and fetches files through the agent."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._model.guest_file import FILE, Command, Seen
from .._model.guest_state import GuestState
from .._plan.guest_exec import RunInGuest
from .._plan.guest_file import FetchFile, PutFile, RemoveFile, SetAttributes, file_view, local_write
from .._plan.plan import Plan, Step
from .._pve.client import Client
from .._pve.errors import ApiError, DeadlineExceeded, Kind, ProxmoxError, WriteLost
from .._seed.guest_scripts import (
    DIED,
    discard_script,
    job_folders,
    look_script,
    parse_ended,
    parse_look,
    remove_script,
    run_script,
    set_script,
    write_scripts,
)
from .files import write_file
from .guest import Ended, Guest, GuestFailed
from .outcome import ApplyFailed, Outcome

_GRACE = 30.0
"""Seconds beyond a command's own limit: the guest ends it, and ten seconds later kills it."""

_BEGINS = 15.0
"""Seconds in which a command whose start got no answer has begun, if it ever does."""

_SETTLES = 10
"""Looks, half a second from each other, at a file that a script was to change whose start got no answer."""

_TAIL = 500
_FORGOTTEN = "Invalid parameter 'pid'"
"""What an agent says of a command whose end it has told already: the answer was lost on its way."""


class Shell(Guest):
    """What is done in one guest through the shell of its agent."""

    def __init__(self, client: Client, state: GuestState, patience: float) -> None:
        super().__init__(client, state.node, state.vmid, patience)
        self._state = state
        self._subject = state.subject

    def see(self, paths: Sequence[str], *, sums: bool = False) -> Mapping[str, Seen]:
        """What is at these paths. Changes nothing, so it may come before a plan was accepted."""
        if not paths:
            return {}
        try:
            ended = self.look(look_script(paths, sums=sums), "a look at files")
        except ApiError as error:
            told = _advice(self._state, error)
            if not told:
                raise
            raise GuestFailed(f"{error}. {told}") from error
        return self._seen(ended, "looking at files")

    def act(self, text: str, what: str) -> Ended:
        """Run a script of ours that has to end well."""
        ended = self.script(text, what)
        if ended.status != 0:
            raise GuestFailed(f"{self._subject}: {what} failed: {ended.text or f'status {ended.status}'}")
        return ended

    def acted(self, text: str, what: str, path: str) -> Seen:
        """The same; what is at the path afterwards."""
        return self._seen(self.act(text, what), what)[path]

    def settled(self, path: str, is_done: Callable[[Seen], bool]) -> Seen | None:
        """What is at a path once it is what it should be; None where it does not become that soon."""
        for _number in range(_SETTLES):
            seen = self.see([path], sums=True)[path]
            if is_done(seen):
                return seen
            self._client.deadline.pause(0.5, f"a sign of the change of {path} in {self._subject}")
        return None

    def _seen(self, ended: Ended, what: str) -> Mapping[str, Seen]:
        try:
            found = parse_look(ended.out)
        except ValueError as error:
            raise GuestFailed(f"{self._subject}: {what} failed: {error}\n{ended.text}") from error
        if ended.status != 0 or not found:
            raise GuestFailed(f"{self._subject}: {what} failed: {ended.text or f'status {ended.status}'}")
        return found

    def run(self, command: Command) -> tuple[int, bool, tuple[str, int], tuple[str, int]]:
        """Exit status, whether its time was up, and of both outputs the beginning and their bytes."""
        job = secrets.token_hex(6)
        ended = self._job(run_script(command, job), job, command)
        line, _newline, rest = ended.out.partition("\n")
        told = parse_ended(line, job)
        if told is None:
            why = ended.text or f"status {ended.status}"
            begun = "nothing was run" if ended.status == DIED else "it is not known what became of it"
            raise GuestFailed(f"{self._subject}: {begun}: {why}")
        status, late, out, err = told
        return status, late, (rest, out), (ended.err, err)

    def _job(self, text: str, job: str, command: Command) -> Ended:
        limit = command.limit + _GRACE
        params = {"command": ["/bin/sh"], "input-data": text}
        try:
            pid = self._patiently(lambda: self._client.post(f"{self._path}/exec", params))["pid"]
        except WriteLost:
            return self._recovered(job, limit, command.most)
        except ApiError as error:
            if not error.uncertain:
                raise
            return self._recovered(job, limit, command.most)
        try:
            return self._ended(pid, f"the command {command.shown}", limit)
        except ApiError as error:
            if _FORGOTTEN not in error.message:
                raise
            return self._recovered(job, limit, command.most)

    def _recovered(self, job: str, limit: float, most: int) -> Ended:
        """How a command ended whose answer was lost: the guest keeps it for a while."""
        clock = self._client.clock
        begun = clock.monotonic()
        folder = ""
        while True:
            folder = folder or self._folder_of(job)
            line = self.read(f"{folder}/ended") if folder else None
            if line is not None:
                parts = [self.read(f"{folder}/{name}") or b"" for name in ("out", "err")]
                out, err = (part[:most].decode("utf-8", "replace") for part in parts)
                return Ended(status=0, out=line.decode() + out, err=err)
            waited = clock.monotonic() - begun
            if waited > (limit if folder else _BEGINS):
                told = "and has not ended since" if folder else "and did not begin, as far as can be seen"
                raise GuestFailed(f"{self._subject}: the connection was cut while the command was begun, {told}")
            self._client.deadline.pause(0.5, f"a sign of the command in {self._subject}")

    def _folder_of(self, job: str) -> str:
        return next((one for one in job_folders(job) if self.read(f"{one}/begun") is not None), "")


def apply_guest_exec(client: Client, plan: Plan, patience: float) -> Outcome:
    """Run the command. Its own failure is a failure of the outcome, whose result holds what it said."""
    (step,) = plan.steps
    if not isinstance(step, RunInGuest):
        raise TypeError(f"no way to do {step!r}")
    command = step.command
    try:
        status, late, (out, out_bytes), (err, err_bytes) = Shell(client, step.state, patience).run(command)
    except ProxmoxError as cause:
        raise ApplyFailed(cause, step=step, left=_goes_on(step, cause), advice=_advice(step.state, cause)) from cause
    result = {
        **plan.result,
        "rc": status,
        "stdout": out.rstrip("\r\n"),
        "stderr": err.rstrip("\r\n"),
        "stdout_bytes": out_bytes,
        "stderr_bytes": err_bytes,
        "stdout_truncated": out_bytes > command.most,
        "stderr_truncated": err_bytes > command.most,
    }
    warnings = tuple(
        f"{step.state.subject}: {name} has {size} bytes, of which the first {command.most} are returned (max_output)"
        for name, size in (("stdout", out_bytes), ("stderr", err_bytes))
        if size > command.most
    )
    return Outcome(result=result, warnings=warnings, failure=_failure(step, status, late, err or out))


def _failure(step: RunInGuest, status: int, late: bool, text: str) -> str:
    if late:
        return (
            f"{step.state.subject}: the command did not end within guest_timeout={step.command.limit} s, and was "
            "ended. Raise guest_timeout if it needs longer"
        )
    if status == 0:
        return ""
    tail = text.strip()[-_TAIL:]
    return f"{step.state.subject}: the command ended with status {status}" + (f": {tail}" if tail else "")


def apply_guest_file(client: Client, plan: Plan, patience: float, *, secret: bool) -> Outcome:
    """Write the file, or change or remove it; the result is what is there afterwards."""
    (step,) = plan.steps
    state = _state(step)
    shell = Shell(client, state, patience)
    token = secrets.token_hex(4)
    try:
        seen = _change(shell, step, token)
    except ProxmoxError as cause:
        left = _tidied(shell, step, token, cause)
        raise ApplyFailed(cause, step=step, left=left, advice=_advice(state, cause)) from cause
    return Outcome(result={**plan.result, "file": file_view(seen, secret=secret)})


def _change(shell: Shell, step: Step, token: str) -> Seen:
    match step:
        case PutFile():
            *former, last = write_scripts(
                step.seen, step.data, step.digest, owner=step.owner, mode=step.mode, token=token
            )
            what = f"writing {step.seen.path}"
            for text in former:
                shell.act(text, what)
        case SetAttributes():
            last = set_script(step.seen, owner=step.owner, mode=step.mode)
            what = f"setting owner and mode of {step.seen.path}"
        case RemoveFile():
            last, what = remove_script(step.seen), f"removing {step.seen.path}"
        case _:
            raise TypeError(f"no way to do {step!r}")
    try:
        return shell.acted(last, what, step.seen.path)
    except WriteLost:
        # The answer was lost, not the script: what it was to do is done at once, or was never begun.
        seen = shell.settled(step.seen.path, lambda seen: _is_done(step, seen))
        if seen is None:
            raise
        return seen


def _is_done(step: Step, seen: Seen) -> bool:
    """Whether a file is what a step makes of it."""
    if isinstance(step, RemoveFile):
        return not seen.exists
    if not isinstance(step, PutFile | SetAttributes):
        return False
    owner, _colon, group = step.owner.partition(":")
    same = owner in (seen.owner, seen.uid) and group in (seen.group, seen.gid) and seen.mode == step.mode
    return same and (seen.sum == step.digest if isinstance(step, PutFile) else seen.kind == FILE)


def apply_guest_file_fetch(client: Client, plan: Plan, patience: float) -> Outcome:
    """Fetch the file. It has to be the one that was looked at."""
    (step,) = plan.steps
    if not isinstance(step, FetchFile):
        raise TypeError(f"no way to do {step!r}")
    path = step.seen.path
    shell = Shell(client, step.state, patience)
    try:
        data = shell.read(path)
        if data is None or shell.see([path], sums=True)[path].sum != step.seen.sum or len(data) != step.seen.size:
            raise GuestFailed(f"{step.state.subject}: {path} changed while it was fetched. Run again")
        write_file(local_write(step, data))
    except ProxmoxError as cause:
        raise ApplyFailed(cause, step=step, advice=_advice(step.state, cause)) from cause
    except OSError as cause:
        raise ApplyFailed(cause, step=step, advice=f"dest={step.dest!r}: it cannot be written") from cause
    return Outcome(result=plan.result)


def _state(step: Step) -> GuestState:
    if isinstance(step, PutFile | SetAttributes | RemoveFile):
        return step.state
    raise TypeError(f"no way to do {step!r}")


def _tidied(shell: Shell, step: Step, token: str, cause: ProxmoxError) -> tuple[str, ...]:
    """Remove what was written beside the file; returns what is left, in words."""
    if not isinstance(step, PutFile):
        return ()
    folder, _slash, name = step.seen.path.rpartition("/")
    told = (f"perhaps {folder}/.{name[:100]}.homelab-{token} in {step.state.subject}; a run an hour later removes it",)
    if isinstance(cause, DeadlineExceeded) or getattr(cause, "kind", None) is Kind.AGENT:
        return told
    try:
        shell.act(discard_script(step.seen, token), "tidying up")
    except ProxmoxError:
        return told
    return ()


def _goes_on(step: RunInGuest, cause: ProxmoxError) -> tuple[str, ...]:
    if isinstance(cause, DeadlineExceeded):
        return (f"the command, which may go on in {step.state.subject} for {step.command.limit} s at most",)
    return ()


def _advice(state: GuestState, cause: ProxmoxError) -> str:
    kind: Any = getattr(cause, "kind", None)
    if isinstance(cause, ApiError) and "has been disabled" in cause.message:
        return (
            f"The guest agent of {state.subject} is told not to run commands. In RHEL and its kin: take guest-exec and "
            "guest-exec-status out of the blocked calls in /etc/sysconfig/qemu-ga, and restart qemu-guest-agent"
        )
    if isinstance(cause, ApiError) and cause.uncertain:
        return f"The agent of {state.subject} could not begin /bin/sh. Is there one in the guest?"
    if kind is Kind.AGENT:
        return (
            f"The guest agent of {state.subject} does not answer. Is qemu-guest-agent installed and running in it, and "
            "has it booted? agent_timeout says how long it is waited for"
        )
    if kind is Kind.NOT_RUNNING:
        return "It was stopped meanwhile. Start it with vm_power"
    return ""
