# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file in a guest: what is there against what is to be there, and one fetched from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._model.guest_file import FILE, FOLDER, LINK, NONE, Seen
from .._model.guest_state import GuestState
from .files import FileState, WriteFile
from .guest_exec import CALLS
from .guest_inside import Inside, inside_refusals
from .plan import Plan, Refusal
from .power import guest_view

MOST_FETCHED = 16 * 1024 * 1024
"""Bytes that C(agent/file-read) gives of a file."""

DIFF_LIMIT = 64 * 1024
NEW_MODE = 0o600
FETCH_CALLS = (*CALLS, "agent_read")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWish:
    """C(data) None: the file is to be absent. C(shown): its content may be shown; C(secret): not even its checksum."""

    guest: str
    path: str
    data: bytes | None = field(repr=False)
    secret: bool
    shown: bool
    owner: str | None
    group: str | None
    mode: int | None
    patience: int

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data or b"").hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class PutFile:
    """Write the whole file, with its owner and mode."""

    state: GuestState
    seen: Seen
    data: bytes = field(repr=False)
    digest: str
    owner: str
    mode: int

    def describe(self) -> str:
        return f"write {self.seen.path} in {self.state.subject} ({len(self.data)} bytes)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAttributes:
    """Give a file that has the right content its owner and mode."""

    state: GuestState
    seen: Seen
    owner: str
    mode: int

    def describe(self) -> str:
        return f"make {self.seen.path} in {self.state.subject} {self.owner} {self.mode:04o}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveFile:
    state: GuestState
    seen: Seen

    def describe(self) -> str:
        return f"remove {self.seen.path} in {self.state.subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchWish:
    """C(mode): of the file here."""

    guest: str
    path: str
    dest: str
    mode: int
    patience: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchFile:
    state: GuestState
    seen: Seen
    dest: str
    mode: int

    def describe(self) -> str:
        return f"fetch {self.seen.path} in {self.state.subject} to {self.dest} ({self.seen.size} bytes)"


def plan_guest_file(wish: FileWish, inside: Inside, former: bytes | None) -> Plan:
    """C(former): what is in the file, where it may be shown and is not too large."""
    refusals = inside_refusals(inside, what="guest_file", calls=FETCH_CALLS)
    state = inside.state
    if refusals or state is None:
        return Plan(refusals=tuple(refusals))
    seen = inside.seen[wish.path]
    refusals = _standing(wish, state, seen)
    if refusals:
        return Plan(refusals=tuple(refusals))
    result = {"guest": guest_view(state), "file": file_view(seen, secret=wish.secret)}
    if wish.data is None:
        return _absent(state, seen, result)
    owner, mode = _attributes(wish, seen)
    before, after = _attribute_difference(wish, seen, mode)
    step: PutFile | SetAttributes
    if seen.kind == NONE or seen.sum != wish.digest:
        step = PutFile(state=state, seen=seen, data=wish.data, digest=wish.digest, owner=owner, mode=mode)
        theirs, ours = _content_difference(wish, seen, former)
        before, after = {**theirs, **before}, {**ours, **after}
    elif after:
        step = SetAttributes(state=state, seen=seen, owner=owner, mode=mode)
    else:
        return Plan(result=result)
    key = f"{seen.path} in {state.subject}"
    return Plan(
        before={key: before}, after={key: after}, steps=(step,), tracks=((state.subject, (step,)),), result=result
    )


def plan_guest_file_fetch(wish: FetchWish, inside: Inside, here: FileState) -> Plan:
    """C(here): the file on this side, as it is."""
    refusals = inside_refusals(inside, what="guest_file_fetch", calls=FETCH_CALLS)
    state = inside.state
    if refusals or state is None:
        return Plan(refusals=tuple(refusals))
    seen = inside.seen[wish.path]
    told = _unfetchable(seen)
    if told is not None:
        reason, remedy = told
        refusal = Refusal(subject=state.subject, option="src", value=wish.path, reason=reason, remedy=remedy)
        return Plan(refusals=(refusal,))
    mine = None if here.data is None else hashlib.sha256(here.data).hexdigest()
    result = {"guest": guest_view(state), "file": file_view(seen, secret=False), "copy": wish.dest}
    if mine == seen.sum and here.mode == wish.mode:
        return Plan(result=result)
    step = FetchFile(state=state, seen=seen, dest=wish.dest, mode=wish.mode)
    sides = (
        {"checksum": mine, "mode": None if here.mode is None else f"{here.mode:04o}"},
        {"checksum": seen.sum, "mode": f"{wish.mode:04o}"},
    )
    return Plan(
        before={wish.dest: sides[0]},
        after={wish.dest: sides[1]},
        steps=(step,),
        tracks=((state.subject, (step,)),),
        result=result,
    )


def local_write(step: FetchFile, data: bytes) -> WriteFile:
    """The file on this side."""
    return WriteFile(path=step.dest, data=data, mode=step.mode)


def file_view(seen: Seen, *, secret: bool) -> dict[str, Any]:
    """How results show a file."""
    there = seen.kind == FILE
    return {
        "path": seen.path,
        "state": "present" if seen.exists else "absent",
        "size": seen.size if there else None,
        "checksum": seen.sum if there and not secret else None,
        "owner": seen.owner if there else None,
        "group": seen.group if there else None,
        "mode": f"{seen.mode:04o}" if there else None,
    }


def _absent(state: GuestState, seen: Seen, result: Mapping[str, Any]) -> Plan:
    if not seen.exists:
        return Plan(result=result)
    key = f"{seen.path} in {state.subject}"
    step = RemoveFile(state=state, seen=seen)
    return Plan(
        before={key: {"state": "present"}},
        after={key: {"state": "absent"}},
        steps=(step,),
        tracks=((state.subject, (step,)),),
        result=result,
    )


def _standing(wish: FileWish, state: GuestState, seen: Seen) -> list[Refusal]:
    told = None
    if seen.kind == FOLDER:
        told = ("there is a folder", "Give the file")
    elif wish.data is not None and seen.kind == LINK:
        told = (f"there is a symbolic link to {seen.target}", "Give the file that is meant, or remove the link first")
    elif wish.data is not None and seen.kind not in (FILE, NONE):
        told = ("there is something that is no file", "Give another path")
    elif wish.data is not None and not seen.folder:
        told = ("its folder is not there", "Make the folder first, for example with guest_exec and mkdir -p")
    if told is None:
        return []
    return [Refusal(subject=state.subject, option="dest", value=wish.path, reason=told[0], remedy=told[1])]


def _unfetchable(seen: Seen) -> tuple[str, str] | None:
    if seen.kind == NONE:
        return "there is no such file", "Correct the path"
    if seen.kind == LINK:
        return f"it is a symbolic link to {seen.target}", "Give the file that is meant"
    if seen.kind != FILE:
        return f"it is no file but {'a folder' if seen.kind == FOLDER else 'something else'}", "Give a file"
    if seen.size > MOST_FETCHED:
        return (
            f"it has {seen.size} bytes, and the agent gives {MOST_FETCHED} at most",
            "Pack or split it in the guest first, or fetch it over a network",
        )
    return None


def _attributes(wish: FileWish, seen: Seen) -> tuple[str, int]:
    """What is not said stays as it is; of a new file it is root's alone."""
    owner = wish.owner if wish.owner is not None else (seen.uid or "0")
    group = wish.group if wish.group is not None else (seen.gid or "0")
    mode = wish.mode if wish.mode is not None else (seen.mode if seen.kind == FILE else NEW_MODE)
    return f"{owner}:{group}", mode


def _attribute_difference(wish: FileWish, seen: Seen, mode: int) -> tuple[dict[str, Any], dict[str, Any]]:
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    new = seen.kind == NONE
    for key, wanted, known in (
        ("owner", wish.owner, (seen.owner, seen.uid)),
        ("group", wish.group, (seen.group, seen.gid)),
    ):
        if wanted is not None and (new or wanted not in known):
            before[key], after[key] = None if new else known[0], wanted
    if new or seen.mode != mode:
        before["mode"], after["mode"] = None if new else f"{seen.mode:04o}", f"{mode:04o}"
    return before, after


def _content_difference(wish: FileWish, seen: Seen, former: bytes | None) -> tuple[dict[str, Any], dict[str, Any]]:
    new = seen.kind == NONE
    if wish.secret:
        return {"content": None if new else "<another secret>"}, {"content": "<the secret>"}
    before: dict[str, Any] = {"checksum": None if new else seen.sum}
    after: dict[str, Any] = {"checksum": wish.digest}
    theirs, ours = _text(b"" if new else former), _text(wish.data)
    if wish.shown and theirs is not None and ours is not None:
        before["content"], after["content"] = None if new else theirs, ours
    return before, after


def _text(data: bytes | None) -> str | None:
    """The content for a person; None for what is no text, or too much of it."""
    if data is None or len(data) > DIFF_LIMIT or b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
