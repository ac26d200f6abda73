# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a catalogue file of one's own: YAML without surprises, checked against the schema, every problem at once."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .catalog_entry import entry_problems, merged
from .errors import ImageError

# A catalogue of thousands of entries is far smaller; anything larger is some other file.
MAX_BYTES = 16 * 1024 * 1024
_SHOWN = 60


class CatalogError(ImageError):
    """A catalogue cannot be used, or does not know what was asked; C(problems) holds every finding."""

    kind = "catalog"

    def __init__(self, problems: list[str] | str) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        count = f"{len(self.problems)} problems in catalogue files:\n- " if len(self.problems) > 1 else ""
        super().__init__(count + "\n- ".join(self.problems))


def parse_yaml(text: str, source: str) -> Any:
    """The document in C(text). Dates stay texts; a key that stands twice is an error. Raises CatalogError."""
    yaml = _library("yaml", "PyYAML", source)

    class Loader(yaml.SafeLoader):  # type: ignore[misc, name-defined, unused-ignore]
        """SafeLoader without dates, refusing duplicate keys."""

        # Dates are compared as texts, and JSON has none.
        yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own class attribute
            first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: dict[Any, int] = {}
            for key_node, _value in node.value:
                # The value of a merge key (<<) may be given again on purpose.
                key = key_node.value
                line = key_node.start_mark.line + 1
                if key in seen:
                    raise CatalogError(f"{source}: line {line}: the key {key!r} already stands in line {seen[key]}")
                seen[key] = line
            return super().construct_mapping(node, deep)

    try:
        # Loader derives from SafeLoader; it only takes types away.
        return yaml.load(text, Loader=Loader)  # noqa: S506
    except yaml.YAMLError as exc:
        raise CatalogError(f"{source}: is no YAML: {' '.join(str(exc).split())}") from exc


def read_document(path: Path) -> Any:
    """The parsed file. Raises CatalogError that names the path."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CatalogError(f"{path}: has more than {MAX_BYTES} bytes: this is no catalogue file")
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise CatalogError(f"catalog_files: {path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise CatalogError(f"catalog_files: {path} is not UTF-8 text (byte {exc.start})") from exc
    return parse_yaml(text, str(path))


def entries_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of a document that fits the schema, with its defaults merged in."""
    defaults = document.get("defaults", {})
    return [merged(defaults, entry) for entry in document["images"]]


def check_document(document: Any, schema: Mapping[str, Any], source: str) -> list[str]:
    """Every problem of the document as C(file: entry: path: what); empty when it can be used. Raises CatalogError."""
    validators = _library("jsonschema", "jsonschema", source)
    problems = [f"{source}: {text}" for text in _schema_texts(validators, schema, document)]
    if problems:
        return problems
    required = schema["$defs"]["discovery_arguments"]["x-required"]
    entry_schema = {**schema["$defs"]["image"], "$defs": schema["$defs"]}
    for number, entry in enumerate(entries_of(document), 1):
        name = entry.get("id") if isinstance(entry.get("id"), str) else f"entry {number}"
        found = list(_schema_texts(validators, entry_schema, entry))
        if not found:
            found = [f"{path}: {text}" for path, text in entry_problems(entry, required)]
        problems += [f"{source}: {name}: {text}" for text in found]
    return problems


def _library(name: str, package: str, source: str) -> Any:
    """A library that only catalogue files of one's own need: importing it costs every module process 20 to 40 ms."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise CatalogError(f"{source}: a catalogue file needs the Python library {package}") from None


def _schema_texts(validators: Any, schema: Mapping[str, Any], value: Any) -> list[str]:
    validator = validators.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(value), key=lambda error: [str(part) for part in error.absolute_path])
    return [f"{_path(error.absolute_path)}: {_text(error)}" for error in errors]


def _path(parts: Any) -> str:
    return ".".join(str(part) for part in parts) or "(top)"


def _text(error: Any) -> str:
    value = repr(error.instance)
    shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
    wanted = error.validator_value
    if error.validator == "enum":
        return f"{shown} is not one of {', '.join(str(choice).lower() for choice in wanted)}"
    if error.validator == "type":
        quote = "; quote it" if wanted == "string" and isinstance(error.instance, (int, float)) else ""
        return f"{shown} is no {wanted if isinstance(wanted, str) else ' or '.join(wanted)}{quote}"
    if error.validator == "pattern":
        meant = error.schema.get("description")
        return f"{shown} does not have the form {wanted}" + (f" ({meant})" if meant else "")
    return str(error.message)
