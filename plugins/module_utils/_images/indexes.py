# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readers of the vendors' indexes: JSON documents, directory pages and Gentoo's list; text in, facts out."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from .._model.image import DIGEST_LENGTHS, Digest
from .errors import BadDigest, BadIndex
from .sums import cleartext_of, decode, refuse_html

_HREF = re.compile(r"""href\s*=\s*["']?([^"'>\s]+)""", re.IGNORECASE)
_FLATCAR = re.compile(r"^FLATCAR_VERSION=[\"']?([0-9][0-9A-Za-z.+_-]*)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One build in an index. C(where) is a URL or a path below the vendor's root; C(size) is in bytes."""

    build: str
    where: str | None = None
    digest: Digest | None = None
    size: int | None = None
    signature: str | None = None


def read_json(raw: bytes, *, source: str) -> Any:
    """Raises HtmlInsteadOfSums for a web page, BadIndex for anything else that is no JSON."""
    text = decode(raw, source=source)
    refuse_html(text, source=source)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise BadIndex(f"{source} is no JSON document: {exc}") from exc


def ubuntu_simplestreams(document: Any, product: str, item: str, *, source: str) -> tuple[Found, ...]:
    """Every serial of C(products[product].versions) that has C(items[item])."""
    versions = _mapping(_at(document, source, "products", product, "versions"), source, f"versions of {product}")
    found = []
    for serial, version in versions.items():
        items = version.get("items") if isinstance(version, Mapping) else None
        entry = items.get(item) if isinstance(items, Mapping) else None
        if isinstance(entry, Mapping):
            digest = _hex_digest(entry.get("sha256"), f"{source}: {product} {serial} {item}")
            found.append(
                Found(build=serial, where=_text(entry.get("path")), digest=digest, size=_size(entry.get("size")))
            )
    if not found:
        raise BadIndex(f"{source}: no version of {product} has the item {item!r}")
    return tuple(found)


def debian_manifest(document: Any, image_format: str, *, source: str) -> Found:
    """The build that lies beside this JSON file; its digest where an upload of C(image_format) is listed.

    The digest is base64 without padding: C(sha512:12EiyHyU…).
    """
    items = _at(document, source, "items")
    if not isinstance(items, list):
        raise BadIndex(f"{source}: items is no list")
    builds = {text for text in (_text(_maybe(item, "data", "info", "version")) for item in items) if text}
    if len(builds) != 1:
        raise BadIndex(
            f"{source} names {len(builds)} values of data.info.version, exactly one is right: {sorted(builds)}"
        )
    digests = {
        text
        for item in items
        if _maybe(item, "metadata", "labels", "upload.cloud.debian.org/image-format") in (image_format, None)
        and (text := _text(_maybe(item, "metadata", "annotations", "cloud.debian.org/digest")))
    }
    digest = _base64_digest(next(iter(digests)), source) if len(digests) == 1 else None
    return Found(build=builds.pop(), digest=digest)


def fedora_releases(
    document: Any, *, version: str, arch: str, subvariant: str, prefix: str, suffix: str, source: str
) -> tuple[Found, ...]:
    """The Cloud entries whose file name is C(prefix) + build + C(suffix). An empty sha256 is an error."""
    if not isinstance(document, list):
        raise BadIndex(f"{source} is no list of releases")
    found = []
    for entry in document:
        if not isinstance(entry, Mapping):
            continue
        facts = tuple(entry.get(key) for key in ("variant", "version", "arch", "subvariant"))
        link = _text(entry.get("link")) or ""
        name = unquote(link.rpartition("/")[2])
        if facts != ("Cloud", version, arch, subvariant) or not name.startswith(prefix) or not name.endswith(suffix):
            continue
        build = name[len(prefix) : len(name) - len(suffix)]
        digest = _hex_digest(entry.get("sha256"), f"{source}: {name}")
        found.append(Found(build=build, where=link, digest=digest, size=_size(entry.get("size"))))
    if not found:
        known = sorted({str(entry.get("version")) for entry in document if isinstance(entry, Mapping)})
        raise BadIndex(
            f"{source} lists no Cloud image of Fedora {version}, {subvariant}, {arch} named {prefix}*{suffix}; "
            f"it has the versions {', '.join(known[-8:])}"
        )
    return tuple(found)


def coreos_stream(document: Any, arch: str, artifact: str, form: str, *, source: str) -> Found:
    """The one build of a CoreOS stream; the digest is that of the packed file, which is what is downloaded."""
    node = _at(document, source, "architectures", arch, "artifacts", artifact)
    release = _text(_at(node, source, "release"))
    disk = _at(node, source, "formats", form, "disk")
    location = _text(_at(disk, source, "location"))
    if not release or not location:
        raise BadIndex(f"{source}: {artifact} {form} has no release or no location")
    digest = _hex_digest(_maybe(disk, "sha256"), f"{source}: {artifact} {form}")
    return Found(build=release, where=location, digest=digest, signature=_text(_maybe(disk, "signature")))


def oracle_template(document: Any, key: str, *, source: str) -> Found:
    """C(base_url) + C([key].image) with C([key].sha256); the build is the file's name without its suffix."""
    base, image = _text(_at(document, source, "base_url")), _text(_at(document, source, key, "image"))
    if not base or not image:
        raise BadIndex(f"{source}: base_url or {key}.image is empty")
    digest = _hex_digest(_maybe(document, key, "sha256"), f"{source}: {image}")
    return Found(
        build=image.rpartition("/")[2].rpartition(".")[0],
        where=base.rstrip("/") + "/" + image.lstrip("/"),
        digest=digest,
    )


def flatcar_version(text: str, *, source: str) -> str:
    """The value of C(FLATCAR_VERSION=) in version.txt."""
    refuse_html(text, source=source)
    match = _FLATCAR.search(text)
    if match is None:
        raise BadIndex(f"{source} has no line FLATCAR_VERSION=")
    return match.group(1)


def directory_names(text: str) -> tuple[str, ...]:
    """The names that a directory page links to, without trailing slashes, in its order."""
    names = (unquote(html.unescape(href)).partition("#")[0] for href in _HREF.findall(text))
    plain = (name.rstrip("/").rpartition("/")[2] for name in names if "?" not in name)
    return tuple(dict.fromkeys(name for name in plain if name not in ("", ".", "..")))


def gentoo_latest(text: str, *, source: str) -> dict[str, int]:
    """File name to size in bytes from C(latest-*.txt), whose second column is no checksum."""
    refuse_html(text, source=source)
    lines = (line.split() for line in cleartext_of(text, source=source).splitlines() if not line.startswith("#"))
    return {words[0].rpartition("/")[2]: int(words[1]) for words in lines if len(words) == 2 and _size(words[1])}


def _hex_digest(value: Any, where: str) -> Digest:
    text = value.lower() if isinstance(value, str) else ""
    try:
        return Digest("sha256", text)
    except ValueError:
        found = f"is {value!r}, {len(text)} characters" if text else "is empty"
        raise BadDigest(f"{where}: sha256 {found}; {DIGEST_LENGTHS['sha256']} hexadecimal digits are right") from None


def _base64_digest(text: str, source: str) -> Digest:
    algorithm, _colon, encoded = text.partition(":")
    try:
        raw = base64.b64decode(encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4), validate=True)
        return Digest(algorithm, raw.hex())
    except (binascii.Error, ValueError) as exc:
        raise BadDigest(f"{source}: cloud.debian.org/digest is {text!r}, which is no base64 checksum: {exc}") from exc


def _at(node: Any, source: str, *keys: str) -> Any:
    path: list[str] = []
    for key in keys:
        path.append(key)
        if not isinstance(node, Mapping) or key not in node:
            known = (
                ", ".join(str(item) for item in list(node)[:8]) if isinstance(node, Mapping) else type(node).__name__
            )
            raise BadIndex(f"{source} has no {'.'.join(path)}; there is: {known}")
        node = node[key]
    return node


def _maybe(node: Any, *keys: str) -> Any:
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _mapping(node: Any, source: str, what: str) -> Mapping[str, Any]:
    if not isinstance(node, Mapping):
        raise BadIndex(f"{source}: the {what} are no mapping")
    return node


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _size(value: Any) -> int | None:
    text = str(value)
    return int(text) if text.isdecimal() and len(text) < 20 else None
