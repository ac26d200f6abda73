# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bundle says of a line: its manifest, which is signed, and names the digest of what lies beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from .identity import LINE_PATTERN, Identity
from .image import Digest

BUNDLE_SCHEMA = 1
INDEX_SCHEMA = 1
INDEX_NAME = "index.json"

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.tar")

IDENTITY_FIELDS = (
    *("generation", "image", "url", "source", "source_build", "verification"),
    *("recipe", "builder", "built", "proof"),
)
"""What of an identity is true elsewhere as well."""


class BundleProblem(ValueError):
    """A manifest that cannot be used, with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """C(options) are the line's, as declared; what belongs to a site or is a secret is not among them."""

    line: str
    options: Mapping[str, Any]
    recipe: str
    recipe_schema: int
    identity: Mapping[str, str]
    """Of the generation that was current where the bundle was made."""
    catalog: Mapping[str, Any] | None = None
    """The image's catalogue entry, fixed to the build; None for an image of one's own."""
    image: str = ""
    """The digest of the vendor's file that is in the bundle, empty where it is not."""

    def render(self) -> bytes:
        """The bytes that are signed: the same manifest is the same bytes."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        document = {"bundle_schema": BUNDLE_SCHEMA, **values}
        return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode()


def identity_of(identity: Identity) -> dict[str, str]:
    """What a bundle says of a generation."""
    return {name: str(getattr(identity, name)) for name in IDENTITY_FIELDS if getattr(identity, name)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """A bundle that a folder has: its file, which has this digest, and what it says."""

    file: str
    digest: str
    manifest: Manifest


def render_index(bundles: Iterable[Indexed]) -> bytes:
    """The bytes of an index that are signed."""
    entries = [
        {"file": one.file, "digest": one.digest, "manifest": json.loads(one.manifest.render())}
        for one in sorted(bundles, key=lambda one: one.file)
    ]
    document = {"index_schema": INDEX_SCHEMA, "bundles": entries}
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode()


def read_index(raw: bytes) -> tuple[Indexed, ...]:
    """What an index lists. Raises BundleProblem."""
    document = _document(raw, "index_schema", INDEX_SCHEMA, "index")
    entries = document.get("bundles")
    if set(document) != {"bundles"} or not isinstance(entries, list):
        raise BundleProblem("its index lists no bundles")
    found = []
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) != {"file", "digest", "manifest"}:
            raise BundleProblem("its index has a damaged entry")
        if not isinstance(entry["file"], str) or not _FILE.fullmatch(entry["file"]):
            raise BundleProblem(f"its index names a file {str(entry['file'])[:100]!r}")
        manifest = read_manifest(json.dumps(entry["manifest"]).encode())
        try:
            found.append(Indexed(file=entry["file"], digest=str(Digest.parse(entry["digest"])), manifest=manifest))
        except (ValueError, AttributeError) as error:
            raise BundleProblem(f"its index has a damaged digest: {error}") from None
    return tuple(found)


def is_bundle_name(name: str) -> bool:
    """Whether an index takes a file of this name."""
    return _FILE.fullmatch(name) is not None


def _document(raw: bytes, key: str, known: int, what: str) -> dict[str, Any]:
    """The mapping in these bytes, without its schema number, which is looked at first."""
    try:
        document = json.loads(raw)
    except ValueError as error:
        raise BundleProblem(f"its {what} is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise BundleProblem(f"its {what} is no mapping")
    schema = document.pop(key, None)
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise BundleProblem(f"its {what} has no {key}")
    if schema > known:
        raise BundleProblem(f"it has schema {schema}, newer than this collection's {known}. Update the collection")
    return document


def read_manifest(raw: bytes) -> Manifest:
    """The manifest in these bytes. Raises BundleProblem."""
    document = _document(raw, "bundle_schema", BUNDLE_SCHEMA, "manifest")
    kinds = {"line": str, "options": dict, "recipe": str, "recipe_schema": int, "identity": dict, "image": str}
    unknown = sorted(set(document) - {*kinds, "catalog"})
    if unknown:
        raise BundleProblem(f"its manifest has unknown keys: {', '.join(unknown)}")
    for name, kind in kinds.items():
        if not isinstance(document.get(name), kind):
            raise BundleProblem(f"its manifest lacks {name}, or has something else there")
    if not isinstance(document.get("catalog"), dict | None):
        raise BundleProblem("its manifest has no mapping as catalog")
    manifest = Manifest(**document)
    _check(manifest)
    return manifest


def _check(manifest: Manifest) -> None:
    if not LINE_PATTERN.fullmatch(manifest.line) or manifest.options.get("line") != manifest.line:
        raise BundleProblem("its manifest does not say which line it is of")
    if any(name not in IDENTITY_FIELDS or not isinstance(value, str) for name, value in manifest.identity.items()):
        raise BundleProblem("the identity in its manifest is damaged")
    try:
        for text in (manifest.recipe, manifest.image, manifest.identity.get("source", "")):
            if text:
                Digest.parse(text)
    except ValueError as error:
        raise BundleProblem(f"its manifest has a damaged digest: {error}") from None
    if manifest.image and manifest.image != manifest.identity.get("source"):
        raise BundleProblem("the image in it is not the one that its generation was built from")
