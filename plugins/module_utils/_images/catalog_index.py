# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A catalogue that lies elsewhere: a folder of bundles with a signed index, and who may have signed it.

The file that names it stands among C(catalog_files) like any other. An index without a signature of a key that the
file trusts is refused, whatever it says.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .._model.bundle import INDEX_NAME, BundleProblem, Indexed, read_index
from . import ssh_signature
from .catalog_file import CatalogError
from .errors import ImageError
from .http import RequestsHttp

_KEYS = {"schema_version": int, "index": str, "trusted_keys": list, "lines": list}
_URLS = ("https://", "http://", "file:///")


def is_index_source(document: Any) -> bool:
    """Whether a catalogue file names an index instead of listing images."""
    return isinstance(document, Mapping) and "index" in document


def indexed_images(document: Mapping[str, Any], source: str, taken: Collection[str]) -> list[dict[str, Any]]:
    """The entries of the images of an index, each under its own id, and under its line's name where that is free.

    C(taken) are the ids and aliases of the shipped catalogue. Raises CatalogError with everything that is wrong.
    """
    problems = list(_problems(document, source))
    if problems:
        raise CatalogError(problems)
    where = f"{source}: {document['index']}"
    found = fetch_index(document["index"].rstrip("/"), tuple(key.strip() for key in document["trusted_keys"]), where)
    wanted = document.get("lines")
    missing = sorted(set(wanted or ()) - {one.manifest.line for one in found})
    if missing:
        known = ", ".join(sorted({one.manifest.line for one in found})) or "none"
        raise CatalogError(f"{source}: lines: the index does not have {', '.join(missing)}; its lines are: {known}")
    return _entries([one for one in found if wanted is None or one.manifest.line in wanted], taken)


@functools.cache
def fetch_index(url: str, trusted: tuple[str, ...], where: str) -> tuple[Indexed, ...]:
    """What the index lists, verified. It is got once in a process: a fleet asks for each of its lines."""
    http = RequestsHttp()
    try:
        raw = http.get_bytes(f"{url}/{INDEX_NAME}")
        signature = http.get_bytes(f"{url}/{INDEX_NAME}.sig")
        ssh_signature.verify(raw, signature, trusted, what="its index", namespace=ssh_signature.INDEX)
        return read_index(raw)
    except (ImageError, BundleProblem) as error:
        raise CatalogError(f"{where} cannot be used: {error}") from error


def _problems(document: Mapping[str, Any], source: str) -> list[str]:
    problems = [
        f"{source}: {name}: a file that names an index has no such key" for name in sorted({*document} - {*_KEYS})
    ]
    for name, kind in _KEYS.items():
        if name in document and not isinstance(document[name], kind):
            problems.append(f"{source}: {name}: {document[name]!r} is no {kind.__name__}")
    if problems:
        return problems
    if document.get("schema_version") != 1:
        problems.append(f"{source}: schema_version: write 1")
    if not document["index"].startswith(_URLS):
        problems.append(f"{source}: index: {document['index']!r}: write the folder as https://… or file:///…")
    keys: Sequence[Any] = document.get("trusted_keys", ())
    if not keys:
        problems.append(f"{source}: trusted_keys: name the public keys of those who may sign the index")
    for number, key in enumerate(keys):
        problem = ssh_signature.key_problem(key) if isinstance(key, str) else "write it as text"
        if problem:
            problems.append(f"{source}: trusted_keys[{number}]: {problem}")
    return problems


def _entries(found: Sequence[Indexed], taken: Collection[str]) -> list[dict[str, Any]]:
    """One entry for each image. Of two builds of one image and architecture the one that was built from later wins."""
    entries: dict[str, dict[str, Any]] = {}
    names: dict[str, list[str]] = {}
    for one in sorted(found, key=lambda one: one.manifest.identity.get("built", ""), reverse=True):
        if one.manifest.catalog is None:
            # A line of an image that it names by its URL needs no catalogue.
            continue
        entry = {key: value for key, value in one.manifest.catalog.items() if key != "replaces"}
        known = entries.setdefault(str(entry.get("id")), entry)
        known["architectures"] = {**(entry.get("architectures") or {}), **(known.get("architectures") or {})}
        names.setdefault(str(entry.get("id")), []).append(one.manifest.line)
    free = {*(line for lines in names.values() for line in lines)} - {*taken, *entries}
    for name, entry in entries.items():
        more = [line for line in dict.fromkeys(names[name]) if line in free]
        free -= {*more}
        own = [alias for alias in entry.get("aliases") or () if name in taken or alias not in taken]
        aliases = list(dict.fromkeys([*own, *more]))
        if aliases:
            entry["aliases"] = aliases
        if name in taken:
            entry["replaces"] = True
    return list(entries.values())
