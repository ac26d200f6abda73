# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layers in their order, merged: C(load(paths, environ)) is what everybody asks.

defaults < system < user < profile < module < environment (C(HOMELAB__TEMPLATES__KEEP=3)). What Ansible adds on top
(group and host variables, plays, extra variables) wins over all of them.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .check import check_layer, check_whole, unknown_key
from .coerce import coerce_text
from .documents import Document, parse, read_text
from .keys import Key, parse_key
from .migrations import migrated, version_of
from .paths import Paths
from .problems import ConfigError, Problem
from .schema import HEAD, SCHEMA, SCHEMA_VERSION, SECTIONS, UNSET, defaults, variable_of
from .secrets import is_reference, is_secret, masked
from .tree import Branch, Leaf, Node, Said, find, leaves, merge_mappings, of_document, plain, statements

LAYERS = ("default", "system", "user", "profile", "module", "environment")
PREFIX = "HOMELAB__"
PROFILE_VARIABLE = "HOMELAB_PROFILE"
_PROFILE_NAME = re.compile(HEAD["profile"]["pattern"])


@dataclass(frozen=True, slots=True)
class LayerFile:
    """One file of a layer, whether it is there or not."""

    layer: str
    path: Path
    section: str | None = None
    profile: str | None = None
    text: str | None = None

    @property
    def name(self) -> str:
        """How commands call it: C(system), C(user), C(profile:lab), C(module:docker)."""
        about = self.section or self.profile
        return f"{self.layer}:{about}" if about else self.layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """What all layers come to. With C(problems) it must not be used for anything but showing them."""

    tree: Branch
    files: tuple[LayerFile, ...]
    profile: str | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    """Warnings, such as a file with secrets that others may read."""

    def values(self) -> dict[str, Any]:
        """Everything, defaults included. It holds secrets that are written in files, and references unresolved."""
        found = plain(self.tree)
        return {} if found is UNSET else found

    def value(self, key: str | Key) -> Any:
        """One value, UNSET where there is none. Raises ConfigError for a key that cannot be."""
        node = find(self.tree, known(key))
        return UNSET if node is None else plain(node)

    def shown(self, key: str | Key = ()) -> Any:
        """The same for screens, logs and diffs: secrets hidden."""
        parts = known(key) if key else ()
        return masked(plain(find(self.tree, parts) or Leaf((), gone=True)), parts)

    def explain(self, key: str | Key) -> tuple[Said, ...]:
        """Every statement on a place and what is in it, lowest layer first. Secrets are hidden."""
        parts = known(key)
        node = find(self.tree, parts)
        said = () if node is None else statements(node)
        ordered = sorted(said, key=lambda one: LAYERS.index(one.layer)) if isinstance(node, Branch) else said
        return tuple(replace(one, value=masked(one.value, one.key)) for one in ordered)

    def leaves(self) -> Iterator[tuple[Key, Said]]:
        """Every single value with who had the last word; the values are not hidden."""
        for key, node in leaves(self.tree):
            yield key, node.said[-1]

    def variables(self) -> dict[str, Any]:
        """Role variables for what somebody said: what is left to defaults is left to the roles."""
        found = {}
        for section, node in self.tree.members.items():
            for name, inner in node.members.items() if isinstance(node, Branch) else ():
                variable = variable_of((section, name))
                if variable and any(said.layer != "default" for said in statements(inner)):
                    value = plain(inner)
                    if value is not UNSET:
                        found[variable] = value
        return found

    def is_configured(self) -> bool:
        """Whether any layer above the defaults says something."""
        return any(said.layer != "default" for said in statements(self.tree))

    def require(self) -> Effective:
        """Itself. Raises ConfigError when there are problems."""
        if self.problems:
            raise ConfigError(self.problems)
        return self


def known(key: str | Key) -> Key:
    """The parts of a key. Raises ConfigError with a suggestion where the schema does not know it."""
    try:
        parts = parse_key(key) if isinstance(key, str) else key
    except ValueError as error:
        raise ConfigError([Problem(message=str(error))]) from None
    if problem := unknown_key(parts):
        raise ConfigError([problem])
    return parts


def load(
    paths: Paths,
    environ: Mapping[str, str],
    *,
    profile: str | None = None,
    texts: Mapping[Path, str | None] | None = None,
) -> Effective:
    """Read and merge all layers. C(texts): contents that count instead of those on disk, None for no file."""
    return _Loader(paths, environ, texts or {}).load(profile)


class _Loader:
    def __init__(self, paths: Paths, environ: Mapping[str, str], texts: Mapping[Path, str | None]) -> None:
        self._paths = paths
        self._environ = environ
        self._texts = texts
        self._tree = of_document(Document(data=defaults()), "default", "the collection")
        self._defaults: Node = self._tree
        self._files: list[LayerFile] = []
        self._problems: list[Problem] = []
        self._notes: list[str] = []

    def load(self, profile: str | None) -> Effective:
        self._add(LayerFile("system", self._paths.system_file))
        self._add(LayerFile("user", self._paths.user_file))
        profile = profile or self._environ.get(PROFILE_VARIABLE) or self._chosen_profile()
        if profile:
            self._add_profile(profile)
        for path in self._module_files():
            self._add(LayerFile("module", path, section=path.stem))
        self._add_environment()
        if not self._problems and self._tree is not self._defaults:
            self._problems += check_whole(_present(plain(self._tree)))
        return Effective(
            tree=self._tree,
            files=tuple(self._files),
            profile=profile,
            problems=tuple(self._problems),
            notes=tuple(self._notes),
        )

    def _chosen_profile(self) -> str | None:
        value = plain(self._tree.members.get("profile", Leaf((), gone=True)))
        return value if isinstance(value, str) else None

    def _add_profile(self, name: str) -> None:
        if not _PROFILE_NAME.fullmatch(name):
            self._problems.append(Problem(message=f"{name!r} is no name of a profile", layer="profile"))
            return
        path = self._paths.profile_file(name)
        self._add(LayerFile("profile", path, profile=name))
        if self._files[-1].text is None and not self._problems:
            there = sorted(file.stem for file in self._paths.profiles.glob("*.yml"))
            hint = f"There are {', '.join(there)}." if there else "There is none yet."
            self._problems.append(
                Problem(message=f"there is no profile {name}", layer="profile", source=str(path), suggestion=hint)
            )

    def _module_files(self) -> list[Path]:
        """Existing files, and those that only C(texts) has."""
        folder = self._paths.modules
        return sorted({*folder.glob("*.yml"), *(path for path in self._texts if path.parent == folder)})

    def _add(self, file: LayerFile) -> None:
        try:
            text = self._texts[file.path] if file.path in self._texts else read_text(file.path, file.layer)
        except ConfigError as error:
            self._problems += error.problems
            text = None
        self._files.append(LayerFile(file.layer, file.path, file.section, file.profile, text))
        if text is None or not self._is_ones_own(file):
            return
        document = self._in_present_words(parse(text, str(file.path), file.layer), file)
        problems = check_layer(document, file.layer, str(file.path), only=file.section)
        if file.section is not None and file.section not in SECTIONS:
            problems = [
                Problem(
                    message=f"there is no section {file.section}",
                    layer=file.layer,
                    source=str(file.path),
                    suggestion=f"Name the file after one of {', '.join(SECTIONS)}.",
                )
            ]
        self._problems += problems
        if not problems:
            self._note_open_secrets(file.path, document)
            self._merge(of_document(document, file.layer, str(file.path)))

    def _is_ones_own(self, file: LayerFile) -> bool:
        """Under sudo the home may be another person's, who must not configure what root does."""
        if file.layer != "user" or file.path in self._texts:
            return True
        owner = file.path.stat().st_uid
        if owner in (0, os.geteuid()):
            return True
        self._notes.append(f"{file.path}: belongs to another user (uid {owner}) and is left out")
        return False

    def _in_present_words(self, document: Document, file: LayerFile) -> Document:
        """A file of another version of the schema, understood. Its lines are not those of its places any more."""
        version = version_of(document.data)
        if version == SCHEMA_VERSION:
            return document
        try:
            data = migrated(document.data, SCHEMA_VERSION)
        except ConfigError as error:
            document.problems += [replace(one, layer=file.layer, source=str(file.path)) for one in error.problems]
            return document
        self._notes.append(f"{file.path}: is of schema version {version}, and read as {SCHEMA_VERSION}; migrate it")
        return Document(data=data)

    def _merge(self, upper: Branch) -> None:
        self._tree = merge_mappings(self._tree, upper, SCHEMA, self._defaults)

    def _note_open_secrets(self, path: Path, document: Document) -> None:
        try:
            status = path.stat()
        except OSError:
            return
        if stat.S_IMODE(status.st_mode) & 0o022:
            self._notes.append(f"{path}: others may write it; run: chmod go-w {path}")
        secret = any(is_secret(key) for key in _texts(document.data, ()))
        if stat.S_IMODE(status.st_mode) & 0o044 and secret:
            self._notes.append(f"{path}: others may read the secrets in it; run: chmod 600 {path}")

    def _add_environment(self) -> None:
        """C(HOMELAB__SECTION__NAME): names in any case, values as the schema says."""
        for variable in sorted(name for name in self._environ if name.startswith(PREFIX)):
            try:
                key = self._environment_key(variable)
                data: Any = coerce_text(key, self._environ[variable])
            except ConfigError as error:
                self._problems += [replace(one, layer="environment", source=variable) for one in error.problems]
                continue
            for part in reversed(key):
                data = {part: data}
            document = Document(data=data)
            problems = check_layer(document, "environment", variable)
            self._problems += problems
            if not problems:
                self._merge(of_document(document, "environment", variable))

    def _environment_key(self, variable: str) -> Key:
        parts = variable.removeprefix(PREFIX).split("__")
        if not all(parts):
            raise ConfigError([Problem(message="a name is empty", suggestion="Write HOMELAB__SECTION__NAME.")])
        return known(tuple(part.lower() for part in parts))


def _present(value: Any) -> Any:
    return {} if value is UNSET else value


def _texts(value: Any, key: Key) -> Iterator[Key]:
    """Places of single values that are written out."""
    if isinstance(value, Mapping):
        if not is_reference(value):
            for name, inner in value.items():
                yield from _texts(inner, (*key, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, (*key, number))
    elif value is not None:
        yield key
