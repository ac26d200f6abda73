# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compose projects: which files one consists of, and what is refused before anything is touched."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .plan import Refusal

# What Compose itself takes as a project's name.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
# By the digest of a manifest, or by that of an image that was made here.
_PINNED = re.compile(r"(.+@)?sha256:[0-9a-f]{64}")
_MODE = re.compile(r"0?[0-7]{3}")
COMPOSE, ENVIRONMENT = "compose.yaml", ".env"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """C(text) is the compose file as it is written, C(parsed) what it says; nothing where it could not be read."""

    name: str
    present: bool = True
    text: str = ""
    parsed: Mapping[str, Any] | None = None
    unreadable: str = ""
    env: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[Mapping[str, Any], ...] = ()
    wait_timeout: int = 120
    allow_unpinned: bool = False

    def payload(self) -> dict[str, Any]:
        """What the script on the host is told."""
        own = [{"path": str(f["path"]), "mode": f"{f['mode']:0>4}", "content": str(f["content"])} for f in self.files]
        whole = [
            {"path": COMPOSE, "mode": "0640", "content": self.text},
            {"path": ENVIRONMENT, "mode": "0600", "content": environment(self.env)},
            *own,
        ]
        return {
            "name": self.name,
            "present": self.present,
            "files": whole if self.present else [],
            "services": sorted((self.parsed or {}).get("services") or {}) if self.present else [],
            "wait_timeout": self.wait_timeout,
            "allow_unpinned": self.allow_unpinned,
        }


def environment(env: Mapping[str, Any]) -> str:
    """The text of a C(.env) file that Compose reads back as it was given."""
    return "".join(f"{name}={_quoted(_text(value))}\n" for name, value in env.items())


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    # Nothing is replaced between single quotes, but they cannot hold one themselves.
    if "'" not in value and "\n" not in value and "\\" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\n", "\\n")
    return f'"{escaped}"'


def refusals(projects: Iterable[Project]) -> Iterator[Refusal]:
    """What is wrong with the projects."""
    seen: set[str] = set()
    for project in projects:
        if project.name in seen:
            yield _refuse(project, "name", project.name, "it is declared twice", "Give each project a name of its own")
        seen.add(project.name)
        if not _NAME.fullmatch(project.name):
            reason = "Compose takes small letters, digits, _ and -, and no _ or - at the start"
            yield _refuse(project, "name", project.name, reason, "Choose another name")
        if project.present:
            yield from _contents(project)


def _contents(project: Project) -> Iterator[Refusal]:
    services = (project.parsed or {}).get("services")
    if project.unreadable:
        yield _refuse(project, "compose", "...", project.unreadable, "Write a compose file")
    elif not isinstance(services, Mapping) or not services:
        yield _refuse(project, "compose", "...", "it names no services", "Give at least one below services")
    else:
        for name, service in services.items():
            yield from _image(project, str(name), service)
    for name in project.env:
        if not _VARIABLE.fullmatch(str(name)):
            yield _refuse(project, "env", name, "this is no name of a variable", "Use letters, digits and _")
    yield from _files(project)


def _image(project: Project, name: str, service: object) -> Iterator[Refusal]:
    option = f"compose.services.{name}"
    if not isinstance(service, Mapping):
        yield _refuse(project, option, service, "this is no service", "Give it an image")
        return
    if project.allow_unpinned:
        return
    image = service.get("image")
    if "build" in service or image is None:
        reason = "what is built here is another image each time"
        yield _refuse(project, option, "build", reason, "Push the image and name its digest, or set allow_unpinned")
    elif not _PINNED.fullmatch(str(image)):
        reason = "a tag may be another image tomorrow"
        remedy = f"Write {str(image).partition('@')[0]}@sha256:... (docker image inspect shows it as RepoDigests)"
        yield _refuse(project, f"{option}.image", str(image), reason, f"{remedy}, or set allow_unpinned")


def _files(project: Project) -> Iterator[Refusal]:
    seen = {COMPOSE, ENVIRONMENT}
    for number, file in enumerate(project.files):
        path = str(file["path"])
        option = f"files[{number}].path"
        if path.startswith("/") or posixpath.normpath(path) != path or path.startswith("..") or path == ".":
            reason = "files lie in the project's own folder"
            yield _refuse(project, option, path, reason, "Give a relative path without . and ..")
        elif path in seen:
            yield _refuse(project, option, path, "the project has a file of that name already", "Choose another name")
        seen.add(path)
        if not _MODE.fullmatch(str(file["mode"])):
            remedy = 'Write three octal digits in quotes, such as "0644"'
            yield _refuse(project, f"files[{number}].mode", file["mode"], "this is no mode", remedy)


def _refuse(project: Project, option: str, value: object, reason: str, remedy: str) -> Refusal:
    return Refusal(subject=f"docker_projects: {project.name}", option=option, value=value, reason=reason, remedy=remedy)
