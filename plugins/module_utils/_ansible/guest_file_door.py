# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doors C(guest_file) and C(guest_file_fetch) are made of."""

from __future__ import annotations

import os
import re
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from .._apply.guest_shell import Shell, apply_guest_file, apply_guest_file_fetch
from .._model.guest_file import FILE, path_problem
from .._plan.files import FileState
from .._plan.guest_file import (
    DIFF_LIMIT,
    FETCH_CALLS,
    FetchWish,
    FileWish,
    plan_guest_file,
    plan_guest_file_fetch,
)
from .._plan.guest_inside import Inside
from .._plan.plan import OptionProblems
from .._pve.client import Client
from .guest_inside import guest_option_problems, guest_options, read_inside
from .run import Door, run

_MODE = re.compile(r"0[0-7]{3}", re.ASCII)
_SPECIAL = re.compile(r"[0-7]{4}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@$-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The guest, what is in the file so far where that may be shown, and the file on this side."""

    inside: Inside
    former: bytes | None = None
    here: FileState = FileState()


def file_options() -> dict[str, dict[str, t.Any]]:
    """Which file, with what in it, and whose."""
    return {
        **guest_options(),
        "dest": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "content": {"type": "str"},
        "secret_content": {"type": "str", "no_log": True},
        "src": {"type": "path"},
        "show_diff": {"type": "bool", "default": True},
        "owner": {"type": "str"},
        "group": {"type": "str"},
        "mode": {"type": "str"},
        "max_size": {"type": "int", "default": 4194304},
    }


FILE_RULES: dict[str, t.Any] = {"mutually_exclusive": [["content", "secret_content", "src"]]}


def run_guest_file(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(guest_file) through."""
    door: Door[FileWish, _Found] = Door(
        desired=desired_file,
        read=_read,
        plan=lambda wish, found: plan_guest_file(wish, found.inside, found.former),
        apply=lambda client, wish, plan: apply_guest_file(client, plan, wish.patience, secret=wish.secret),
    )
    run(module, door)


def fetch_options() -> dict[str, dict[str, t.Any]]:
    """Which file, and where to."""
    return {
        **guest_options(),
        "src": {"type": "str", "required": True},
        "dest": {"type": "path", "required": True},
        "mode": {"type": "str", "default": "0600"},
    }


def run_guest_file_fetch(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(guest_file_fetch) through."""
    door: Door[FetchWish, _Found] = Door(
        desired=desired_fetch,
        read=_read_both,
        plan=lambda wish, found: plan_guest_file_fetch(wish, found.inside, found.here),
        apply=lambda client, wish, plan: apply_guest_file_fetch(client, plan, wish.patience),
    )
    run(module, door)


def desired_file(params: Mapping[str, t.Any]) -> FileWish:
    """The file. Raises OptionProblems with everything that is wrong."""
    problems = guest_option_problems(params)
    if problem := path_problem(params["dest"]):
        problems.append(f"dest={params['dest']!r}: {problem}")
    for option in ("owner", "group"):
        if params[option] is not None and not _NAME.fullmatch(params[option]):
            problems.append(f"{option}={params[option]!r}: give a name or a number")
    mode = _mode(params["mode"], problems)
    absent = params["state"] == "absent"
    given = [name for name in ("content", "secret_content", "src") if params[name] is not None]
    if absent and (given or mode is not None or params["owner"] is not None or params["group"] is not None):
        problems.append("state='absent': it needs no content, owner, group and mode. Leave them out")
    if not absent and not given:
        problems.append("content, secret_content, src: one of them says what the file holds")
    data = None if absent else _data(params, problems)
    if problems:
        raise OptionProblems(tuple(problems))
    secret = params["secret_content"] is not None
    return FileWish(
        guest=params["guest"],
        path=params["dest"],
        data=data,
        secret=secret,
        shown=params["show_diff"] and not secret,
        owner=params["owner"],
        group=params["group"],
        mode=mode,
        patience=params["agent_timeout"],
    )


def desired_fetch(params: Mapping[str, t.Any]) -> FetchWish:
    """What is fetched. Raises OptionProblems with everything that is wrong."""
    problems = guest_option_problems(params)
    if problem := path_problem(params["src"]):
        problems.append(f"src={params['src']!r}: {problem}")
    dest = Path(params["dest"])
    if dest.is_dir():
        problems.append(f"dest={params['dest']!r}: this is a folder. Give the file that shall be written")
    elif not dest.parent.is_dir():
        problems.append(f"dest={params['dest']!r}: its folder is not there. Make it first")
    mode = _mode(params["mode"], problems)
    if problems or mode is None:
        raise OptionProblems(tuple(problems))
    return FetchWish(
        guest=params["guest"], path=params["src"], dest=str(dest), mode=mode, patience=params["agent_timeout"]
    )


def _mode(text: str | None, problems: list[str]) -> int | None:
    if text is None:
        return None
    # YAML reads an unquoted 0644 as the number 420, so a mode without its 0 cannot be trusted.
    if _MODE.fullmatch(text) or (_SPECIAL.fullmatch(text) and text[0] in "1234567"):
        return int(text, 8)
    problems.append(f"mode={text!r}: give four octal digits in quotes, such as '0644'")
    return None


def _data(params: Mapping[str, t.Any], problems: list[str]) -> bytes:
    text = params["content"] if params["content"] is not None else params["secret_content"]
    data = (text or "").encode()
    if params["src"] is not None:
        try:
            data = Path(params["src"]).read_bytes()
        except OSError as error:
            problems.append(f"src={params['src']!r}: it cannot be read: {error.strerror or error}")
    if len(data) > params["max_size"]:
        problems.append(
            f"max_size={params['max_size']}: {len(data)} bytes are to be written. The agent takes 45 kB at once, so "
            "large files are slow; raise max_size if that is meant, or use a network"
        )
    return data


def _read(client: Client, wish: FileWish) -> _Found:
    inside = read_inside(client, wish.guest, calls=FETCH_CALLS, looks_at=[wish.path], sums=True, patience=wish.patience)
    seen = inside.seen.get(wish.path)
    differs = seen is not None and wish.data is not None and seen.kind == FILE and seen.sum != wish.digest
    if seen is None or inside.state is None or not differs or not wish.shown or seen.size > DIFF_LIMIT:
        return _Found(inside=inside)
    return _Found(inside=inside, former=Shell(client, inside.state, wish.patience).read(wish.path))


def _read_both(client: Client, wish: FetchWish) -> _Found:
    inside = read_inside(client, wish.guest, calls=FETCH_CALLS, looks_at=[wish.path], sums=True, patience=wish.patience)
    try:
        here = FileState(data=Path(wish.dest).read_bytes(), mode=os.stat(wish.dest).st_mode & 0o7777)
    except FileNotFoundError:
        here = FileState()
    except OSError as error:
        raise OptionProblems((f"dest={wish.dest!r}: it cannot be read: {error.strerror or error}",)) from error
    return _Found(inside=inside, here=here)
