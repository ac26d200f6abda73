# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue of cloud images: shipped entries, own files beside them, and what stands against using an entry."""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

from .._model.image import CloudImage
from .catalog_entry import Arch, Entry, State, facts_of, to_image
from .catalog_file import CatalogError, check_document, entries_of, read_document
from .catalog_index import indexed_images, is_index_source
from .shipped import CATALOG, SCHEMA

__all__ = [
    "ARCHITECTURES",
    "Catalog",
    "CatalogError",
    "lifecycle_state",
    "load_catalog",
    "problems_for",
    "schema",
]

ARCHITECTURES: tuple[str, ...] = get_args(Arch)
Purpose = Literal["image", "template"]

SHIPPED = "shipped"
_SUGGESTIONS = 3
_CONFIGURED_BY = {
    "needs-ignition": " (it is configured by Ignition)",
    "needs-machine-config": " (it is configured by a Talos machine config)",
}


@functools.cache
def schema() -> Mapping[str, Any]:
    """The JSON Schema of a catalogue file."""
    return cast(Mapping[str, Any], json.loads(SCHEMA))


class Catalog:
    """Entries by id, with the file each came from. Ids and aliases are one name space."""

    def __init__(self, entries: Mapping[str, Entry], origins: Mapping[str, str]) -> None:
        self._entries = dict(entries)
        self._origins = dict(origins)
        self._aliases = {alias: entry["id"] for entry in entries.values() for alias in entry.get("aliases", [])}

    def ids(self) -> tuple[str, ...]:
        """All ids, in the order of the files."""
        return tuple(self._entries)

    def entries(self) -> tuple[Entry, ...]:
        """The entries as they are written, with the defaults of their file merged in."""
        return tuple(self._entries.values())

    def canonical(self, image_id: str) -> str:
        """The id behind an id or alias. Raises CatalogError with suggestions."""
        if image_id in self._entries:
            return image_id
        if image_id in self._aliases:
            return cast(str, self._aliases[image_id])
        raise CatalogError(self._unknown(image_id))

    def architectures(self, image_id: str) -> tuple[str, ...]:
        """The architectures of an entry, C(x86_64) first."""
        known = self._entries[self.canonical(image_id)]["architectures"]
        return tuple(arch for arch in ARCHITECTURES if arch in known)

    def get(self, image_id: str, arch: str = "x86_64") -> CloudImage:
        """The entry as a value. Raises CatalogError: unknown id (with suggestions), or not for this architecture."""
        return to_image(*self._found(image_id, arch))

    def describe(self, image_id: str, arch: str = "x86_64") -> dict[str, Any]:
        """Everything that is known of an entry as plain data: the fields of CloudImage and the other facts."""
        entry, known_arch = self._found(image_id, arch)
        image = to_image(entry, known_arch)
        facts = facts_of(entry, known_arch)
        result = cast(dict[str, Any], _plain(dataclasses.asdict(image)))
        result["digest"] = str(image.digest) if image.digest else None
        result["lifecycle"].update(phase=facts.pop("phase"), extended_eol=facts.pop("extended_eol"))
        return {**result, **facts, "origin": self._origins[entry["id"]]}

    def _found(self, image_id: str, arch: str) -> tuple[Entry, Arch]:
        entry = self._entries[self.canonical(image_id)]
        known = self.architectures(image_id)
        if arch not in known:
            raise CatalogError(
                f"arch: {arch!r} is not known for the catalogue image {image_id!r}; it exists for {', '.join(known)}"
            )
        return entry, cast(Arch, arch)

    def _unknown(self, image_id: str) -> str:
        names = [*self._entries, *self._aliases]
        near = difflib.get_close_matches(image_id, names, _SUGGESTIONS, 0.6)
        near += [name for name in names if name.startswith(image_id) and name not in near]
        if not near:
            return (
                f"image: {image_id!r} is not in the catalogue of {len(self._entries)} images; "
                "homelab.proxmox.cloud_image_info lists them, and catalog_files adds your own"
            )
        return f"image: {image_id!r} is not in the catalogue; did you mean {' or '.join(near[:_SUGGESTIONS])}?"


def load_catalog(extra: Sequence[str | Path] = ()) -> Catalog:
    """The shipped catalogue with the files C(extra) over it. Raises CatalogError with all problems of all files."""
    entries, origins = dict(_shipped()), dict.fromkeys(_shipped(), SHIPPED)
    problems: list[str] = []
    for path in map(Path, extra):
        try:
            document = _whole(read_document(path), str(path))
            problems += (found := check_document(document, schema(), str(path)))
        except CatalogError as exc:
            problems += exc.problems
            continue
        if not found:
            problems += _lay_over(entries, origins, entries_of(document), str(path))
    problems += _name_problems(entries, origins)
    if problems:
        raise CatalogError(problems)
    return Catalog(entries, origins)


def _whole(document: Any, source: str) -> Any:
    """The document, with the images of the index where it names one. Raises CatalogError."""
    if not is_index_source(document):
        return document
    shipped = _shipped().values()
    taken = {name for entry in shipped for name in (entry["id"], *entry.get("aliases", ()))}
    return {"schema_version": 1, "images": indexed_images(document, source, taken)}


@functools.cache
def _shipped() -> Mapping[str, Entry]:
    documents = json.loads(CATALOG)
    return {entry["id"]: entry for document in documents.values() for entry in entries_of(document)}


def _lay_over(
    entries: dict[str, Entry], origins: dict[str, str], own: Iterable[dict[str, Any]], source: str
) -> list[str]:
    problems = []
    for entry in own:
        name, replaces = entry["id"], entry.pop("replaces", False)
        if name in entries and origins[name] != SHIPPED:
            problems.append(f"{source}: {name}: the id is also defined in {origins[name]}; keep one of the two")
        elif name in entries and not replaces:
            problems.append(f"{source}: {name}: the shipped catalogue has this id; write replaces: true, or another id")
        elif name not in entries and replaces:
            problems.append(f"{source}: {name}: replaces: true, but the shipped catalogue has no such id")
        else:
            entries[name] = entry
            origins[name] = source
    return problems


def _name_problems(entries: Mapping[str, Entry], origins: Mapping[str, str]) -> list[str]:
    owners: dict[str, str] = {name: name for name in entries}
    problems = []
    for name, entry in entries.items():
        for alias in entry.get("aliases", []):
            owner = owners.setdefault(alias, name)
            if owner != name:
                problems.append(f"{origins[name]}: {name}: the alias {alias!r} already stands for {owner}")
    return problems


def lifecycle_state(image: CloudImage, today: datetime.date) -> State:
    """The state on a day: C(eol) also when the announced last day lies before it."""
    eol = image.lifecycle.eol
    # ISO dates order as texts; a month without a day counts until its end.
    if eol and today.isoformat()[: len(eol)] > eol:
        return "eol"
    return image.lifecycle.state


def problems_for(
    image: CloudImage,
    *,
    purpose: Purpose,
    allow_eol: bool = False,
    allow_unverified: bool = False,
    today: datetime.date,
) -> list[str]:
    """What stands against using the image, each with option, value and remedy; empty when nothing does."""
    problems = []
    called = f"image: {image.id!r}"
    if not allow_eol and lifecycle_state(image, today) == "eol":
        since = f" since {image.lifecycle.eol}" if image.lifecycle.eol else ""
        problems.append(f"{called} is past its end of life{since}; choose a later release, or set allow_eol: true")
    if not allow_unverified and image.confidence == "low":
        problems.append(
            f"{called} is of low confidence: its facts come from one weak source; check them against the vendor, "
            "then set allow_unverified: true"
        )
    problems += _source_gaps(image, called)
    if purpose == "template":
        problems += _template_gaps(image, called, allow_unverified)
    return problems


def _source_gaps(image: CloudImage, called: str) -> list[str]:
    if image.url is None and image.discovery.get("kind", "none") == "none":
        why = "the vendor asks for a login" if "login-required" in image.quirks else "none is known"
        return [
            f"{called} has no public URL: {why}; download the file yourself and describe it in a file of your own "
            "(catalog_files, with replaces: true, url and digest)"
        ]
    if image.sums is None and image.digest is None:
        return [
            f"{called} has no published checksums; compute one over a file that you trust and pin it as digest in a "
            "file of your own (catalog_files, with replaces: true)"
        ]
    return []


def _template_gaps(image: CloudImage, called: str, allow_unverified: bool) -> list[str]:
    if image.cloud_init == "none":
        how = next((told for quirk, told in _CONFIGURED_BY.items() if quirk in image.quirks), "")
        return [
            f"{called} has no cloud-init{how}, so it cannot become a template; choose another variant, or only store "
            "it with homelab.proxmox.image"
        ]
    if image.cloud_init == "unknown" and not allow_unverified:
        return [
            f"{called} is not known to run cloud-init; look into it with homelab.proxmox.image first, "
            "then set allow_unverified: true"
        ]
    return []


def _plain(value: Any) -> Any:
    """Tuples as lists, all the way down: what JSON and Jinja2 know."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
