# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From options to a report on template lines, written as a page: what the door C(templates_report) is made of."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from .._apply.files import write_files
from .._images.http import RequestsHttp
from .._model.report import Report
from .._model.stock import Stock
from .._model.template import TemplateLine
from .._plan.files import FileState, WriteFile, needed
from .._plan.plan import OptionProblems, Plan
from .._plan.report import Wish, make_report
from .fleet_door import desired_fleet, fleet_options
from .image_options import image_options
from .report_page import as_plain, data, page, summary_of
from .run import Door, run
from .stock import GATHER, TRUST, Question, question_from, read_stock

_MODE = re.compile(r"0[0-7]{3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is reported, and the files that it is written to by what they hold; C(lines) is None for what is there."""

    question: Question
    lines: tuple[TemplateLine, ...] | None
    title: str
    max_age: int
    files: Mapping[str, str]
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is there: of templates, and of the files."""

    stock: Stock
    now: datetime
    files: Mapping[str, FileState]


def report_options() -> dict[str, dict[str, t.Any]]:
    """Where the report goes, what it is about, and whom to believe about images."""
    fleet = fleet_options()
    return {
        "path": {"type": "path", "required": True},
        "json_path": {"type": "path"},
        "mode": {"type": "str", "default": "0644"},
        "title": {"type": "str", "default": "Template fleet"},
        "lines": {**fleet["lines"], "required": False},
        "nodes": fleet["nodes"],
        "max_age": {"type": "int", "default": 30},
        "gather": {"type": "list", "elements": "str", "choices": list(GATHER), "default": list(GATHER)},
        **{name: spec for name, spec in image_options().items() if name in TRUST},
    }


def run_templates_report(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(templates_report) through."""
    http = RequestsHttp()
    door: Door[Wanted, Found] = Door(
        desired=lambda params: wanted_from(params, Path(module.tmpdir)),
        read=lambda client, wanted: Found(
            stock=read_stock(client, wanted.question, http),
            now=datetime.now(UTC),
            files={path: _state(path) for path in wanted.files.values()},
        ),
        plan=plan_page,
        apply=lambda _client, _wanted, plan: write_files(plan),
    )
    run(module, door)


def wanted_from(params: Mapping[str, t.Any], tmpdir: Path) -> Wanted:
    """The options as a value. Raises OptionProblems with all that cannot be meant."""
    problems: list[str] = []
    files = {"page": params["path"], **({"json": params["json_path"]} if params["json_path"] else {})}
    for option, path in (("path", params["path"]), ("json_path", params["json_path"])):
        if path is not None and (problem := _path_problem(path)):
            problems.append(f"{option}={path!r}: {problem}")
    if len({os.path.realpath(path) for path in files.values()}) < len(files):
        problems.append(f"json_path={params['json_path']!r}: it is the same file as path. Give it another name")
    if not _MODE.fullmatch(params["mode"]):
        problems.append(f"mode={params['mode']!r}: write it as text of four octal digits, such as '0644'")
    if params["max_age"] < 0:
        problems.append(f"max_age={params['max_age']}: it is a number of days, 0 or more")
    lines: tuple[TemplateLine, ...] | None = None
    question: Question | None = None
    try:
        lines = _lines(params, tmpdir)
        images = {line.key: line.image for line in lines or () if not line.absent}
        question = question_from(params, images=images)
    except OptionProblems as found:
        problems += found.problems
    if problems or question is None:
        raise OptionProblems(tuple(problems))
    return Wanted(
        question=question,
        lines=lines,
        title=params["title"],
        max_age=params["max_age"],
        files=files,
        mode=int(params["mode"], 8),
    )


def _lines(params: Mapping[str, t.Any], tmpdir: Path) -> tuple[TemplateLine, ...] | None:
    """The declared lines as a fleet takes them. An image that is past its time may be reported on."""
    if params["lines"] is None:
        return None
    rest = {name: spec.get("default") for name, spec in fleet_options().items()}
    return desired_fleet({"timeout": None, **rest, **params, "allow_eol": True}, tmpdir).lines


def _path_problem(path: str) -> str:
    """Why nothing can be written there; empty where something can."""
    if not os.path.isabs(path):
        return "it is relative. Give an absolute path"
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        return "it is a directory. Name a file in it" if target.is_dir() else "it is no ordinary file. Name another one"
    if not target.parent.is_dir():
        return f"there is no directory {target.parent}. Make it first"
    if not os.access(target.parent, os.W_OK | os.X_OK):
        return f"the directory {target.parent} cannot be written to. Choose another one, or let its owner run this"
    if target.exists() and not os.access(target, os.R_OK):
        return "the file that is there cannot be read. Choose another name, or let its owner run this"
    return ""


def _state(path: str) -> FileState:
    try:
        return FileState(data=Path(path).read_bytes(), mode=stat.S_IMODE(Path(path).stat().st_mode))
    except FileNotFoundError:
        return FileState()


def plan_page(wanted: Wanted, found: Found) -> Plan:
    """Write what differs; the report is part of the result either way."""
    day = found.now.astimezone(UTC).date()
    report = make_report(Wish(title=wanted.title, day=day, lines=wanted.lines, max_age=wanted.max_age), found.stock)
    makers = {"page": page, "json": data}
    files = {
        kind: WriteFile(path=path, data=makers[kind](report), mode=wanted.mode) for kind, path in wanted.files.items()
    }
    before, after = _difference(wanted, report, files, found.files)
    plain = as_plain(report)
    return Plan(
        before=before,
        after=after,
        steps=needed(files.values(), found.files),
        notes=_notes(report),
        result={
            **{kind: {"path": file.path, "checksum": _digest(file.data)} for kind, file in files.items()},
            "mode": _octal(wanted.mode),
            "day": report.day,
            "summary": dict(report.summary),
            "attention": plain["attention"],
        },
    )


def _difference(
    wanted: Wanted, report: Report, files: Mapping[str, WriteFile], states: Mapping[str, FileState]
) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """What differs of the day, the counts, the mode and the digests; the pages themselves would be too long."""
    former = summary_of(states[wanted.files["page"]].data)
    modes = [_octal(states[file.path].mode) for file in files.values()]
    right = _octal(wanted.mode)
    before = {name: former.get(name) for name in ("day", "summary")}
    before |= {kind: _digest(states[file.path].data) for kind, file in files.items()}
    before |= {"mode": next((mode for mode in modes if mode != right), right)}
    after = {"day": report.day, "summary": dict(report.summary), "mode": right}
    after |= {kind: _digest(file.data) for kind, file in files.items()}
    different = [name for name in after if before[name] != after[name]]
    return {name: before[name] for name in different}, {name: after[name] for name in different}


def _notes(report: Report) -> tuple[str, ...]:
    """Vendors that are silent are told of on the page; as warnings they would be too many."""
    if not report.silent:
        return report.problems
    count = sum(line.vendor is not None and bool(line.vendor.problem) for line in report.lines)
    lines = "1 line" if count == 1 else f"{count} lines"
    return (*report.problems, f"what the vendor has is not known for {lines}; the report says why")


def _octal(mode: int | None) -> str | None:
    return None if mode is None else f"{mode:04o}"


def _digest(content: bytes | None) -> str | None:
    return None if content is None else f"sha256:{hashlib.sha256(content).hexdigest()}"
