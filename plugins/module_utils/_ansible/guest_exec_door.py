# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the door C(guest_exec) is made of."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

from ansible.module_utils.basic import AnsibleModule

from .._apply.guest_shell import apply_guest_exec
from .._model.guest_file import Command, path_problem
from .._plan.guest_exec import CALLS, ExecWish, plan_guest_exec
from .._plan.guest_inside import Inside
from .._plan.plan import OptionProblems
from .._seed.guest_scripts import LONGEST, run_script
from .guest_inside import guest_option_problems, guest_options, read_inside
from .run import Door, run

MOST = 1_000_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_RESERVED = "homelab_"


def exec_options() -> dict[str, dict[str, t.Any]]:
    """What is run, with what, and how much of what it says comes back."""
    return {
        **guest_options(),
        "argv": {"type": "list", "elements": "str"},
        "cmd": {"type": "str"},
        "stdin": {"type": "str"},
        "stdin_add_newline": {"type": "bool", "default": True},
        "chdir": {"type": "str"},
        "environment": {"type": "dict", "default": {}},
        "secrets": {"type": "dict", "default": {}, "no_log": True},
        "creates": {"type": "str"},
        "removes": {"type": "str"},
        "guest_timeout": {"type": "int", "default": 300},
        "max_output": {"type": "int", "default": 65536},
    }


EXEC_RULES: dict[str, t.Any] = {
    "mutually_exclusive": [["argv", "cmd"]],
    "required_one_of": [["argv", "cmd"]],
}


def run_guest_exec(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(guest_exec) through."""
    door: Door[ExecWish, Inside] = Door(
        desired=desired_exec,
        read=lambda client, wish: read_inside(
            client, wish.guest, calls=CALLS, looks_at=wish.looks_at, sums=False, patience=wish.patience
        ),
        plan=plan_guest_exec,
        apply=lambda client, wish, plan: apply_guest_exec(client, plan, wish.patience),
    )
    run(module, door)


def desired_exec(params: Mapping[str, t.Any]) -> ExecWish:
    """The command. Raises OptionProblems with everything that is wrong."""
    problems = [*guest_option_problems(params), *_command_problems(params), *_environment_problems(params)]
    for option in ("chdir", "creates", "removes"):
        value = params[option]
        if value is not None and (problem := path_problem(value if value == "/" else value.rstrip("/"))):
            problems.append(f"{option}={value!r}: {problem}")
    if problems:
        raise OptionProblems(tuple(problems))
    stdin = params["stdin"] or ""
    if stdin and params["stdin_add_newline"] and not stdin.endswith("\n"):
        stdin += "\n"
    command = Command(
        argv=tuple(params["argv"] or ()),
        text=params["cmd"] or "",
        stdin=stdin.encode(),
        folder=params["chdir"] or "",
        environment={**_texts(params["environment"]), **_texts(params["secrets"])},
        limit=params["guest_timeout"],
        most=params["max_output"],
    )
    size = len(run_script(command, "0" * 12))
    if size > LONGEST:
        raise OptionProblems(
            (
                f"the command with its stdin and environment makes {size} characters, and the agent takes {LONGEST}. "
                "Put what is long into the guest with guest_file first, and read it there",
            )
        )
    return ExecWish(
        guest=params["guest"],
        command=command,
        creates=params["creates"],
        removes=params["removes"],
        patience=params["agent_timeout"],
    )


def _command_problems(params: Mapping[str, t.Any]) -> list[str]:
    problems = []
    if params["argv"] is not None and (not params["argv"] or not params["argv"][0].strip()):
        problems.append("argv: its first element is the program; it is empty")
    if params["cmd"] is not None and not params["cmd"].strip():
        problems.append("cmd='': give a command")
    if any("\0" in text for text in (*(params["argv"] or ()), params["cmd"] or "")):
        problems.append("argv, cmd: a NUL cannot be part of a command")
    if params["guest_timeout"] < 1:
        problems.append(f"guest_timeout={params['guest_timeout']}: give 1 second or more")
    if not 0 <= params["max_output"] <= MOST:
        problems.append(
            f"max_output={params['max_output']}: give 0 to {MOST} bytes; write what is longer to a file, and "
            "fetch that with guest_file_fetch"
        )
    return problems


def _environment_problems(params: Mapping[str, t.Any]) -> list[str]:
    problems = []
    for option in ("environment", "secrets"):
        for name, value in params[option].items():
            if not _NAME.fullmatch(str(name)) or str(name).startswith(_RESERVED):
                problems.append(f"{option}: {name!r} cannot be the name of a variable here")
            elif "\0" in str(value):
                problems.append(f"{option}.{name}: a NUL cannot be part of a variable")
    twice = sorted(set(params["environment"]) & set(params["secrets"]))
    if twice:
        problems.append(f"secrets: {', '.join(twice)} stand in environment too. Keep one of each")
    return problems


def _texts(values: Mapping[str, t.Any]) -> dict[str, str]:
    return {str(name): "" if value is None else str(value) for name, value in values.items()}
