# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planners of bundles: what is written where one is made, and where one is taken in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._model.bundle import Manifest, identity_of
from .._model.identity import State
from .._model.image import Digest
from .._model.template import Generation
from .files import FileState, WriteFile, needed
from .plan import Plan, Refusal, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleWish:
    """C(manifest) lacks what only the cluster knows: the identity, the catalogue's build and the image."""

    path: str
    manifest: Manifest
    nodes: tuple[str, ...]
    with_image: bool
    signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFound:
    """The line's generations, and the bundle that is there: its manifest's bytes, None for none that can be read."""

    generations: tuple[Generation, ...]
    manifest: bytes | None
    has_image: bool
    signed_as_wanted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBundle:
    """Put a bundle in place of what is there."""

    path: str
    manifest: Manifest
    url: str
    """Where the vendor's file was got; empty where it does not go in."""
    signed: bool

    def describe(self) -> str:
        image = " with its image" if self.url else ""
        return f"write {self.path}: line {self.manifest.line}{image}, {'signed' if self.signed else 'not signed'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeImage:
    """Put the image of a bundle where M(homelab.proxmox.vm_template) looks for what it has downloaded."""

    bundle: str
    """The file, or its URL."""
    whole: Digest | None
    """The digest of the bundle behind a URL."""
    digest: Digest
    path: str

    def describe(self) -> str:
        return f"take the image {self.digest} out of {self.bundle} to {self.path}"


def plan_bundle(wish: BundleWish, found: BundleFound) -> Plan:
    """Nothing where the bundle says the same already."""
    here = [one for one in found.generations if one.row.node in wish.nodes and not one.incomplete]
    current = [one for one in here if one.state is State.CURRENT]
    fitting = [one for one in current if one.identity.recipe == wish.manifest.recipe]
    if not fitting:
        return Plan(refusals=(_no_generation(wish, current),))
    newest = max(fitting, key=lambda one: (one.identity.generation, -one.vmid))
    identity = newest.identity
    if not (identity.source and identity.url):
        return Plan(refusals=(_unknown_image(wish, newest),))
    manifest = Manifest(
        line=wish.manifest.line,
        options=_pinned_options(wish.manifest, identity.source),
        recipe=wish.manifest.recipe,
        recipe_schema=wish.manifest.recipe_schema,
        identity=identity_of(identity),
        catalog=_pinned_entry(wish.manifest.catalog, identity.url, identity.source),
        image=identity.source if wish.with_image else "",
    )
    result = {"bundle": wish.path, **bundle_view(manifest), "signed": wish.signed}
    if found.manifest == manifest.render() and found.has_image == wish.with_image and found.signed_as_wanted:
        return Plan(result=result)
    step = WriteBundle(
        path=wish.path, manifest=manifest, url=identity.url if wish.with_image else "", signed=wish.signed
    )
    before = None if found.manifest is None else {"bundle": wish.path}
    return Plan(before={wish.path: before}, after={wish.path: result}, steps=(step,), result=result)


def bundle_view(manifest: Manifest) -> dict[str, Any]:
    """A bundle in the vocabulary of results and diffs."""
    return {
        "line": dict(manifest.options),
        "recipe": manifest.recipe,
        "identity": dict(manifest.identity),
        "image": manifest.image or None,
    }


def _pinned_options(manifest: Manifest, source: str) -> dict[str, Any]:
    """An image of one's own is fixed to the file that was used; its recipe does not hold the digest."""
    options = dict(manifest.options)
    if "url" in options:
        options.pop("checksum_url", None)
        options["checksum"] = source
    return options


def _pinned_entry(entry: Mapping[str, Any] | None, url: str, source: str) -> dict[str, Any] | None:
    """The catalogue entry for the one build: its vendor need not be asked, and may have moved on."""
    if entry is None:
        return None
    kept = {key: value for key, value in entry.items() if key not in ("aliases", "sums", "signature", "discovery")}
    blocks = {arch: {"url": url, "digest": source} for arch in entry["architectures"]}
    return {**kept, "url_kind": "dated", "architectures": blocks}


def _no_generation(wish: BundleWish, current: Sequence[Generation]) -> Refusal:
    subject = f"line {wish.manifest.line}"
    where = ", ".join(wish.nodes)
    if not current:
        reason, remedy = f"there is no current generation of it on {where}", "Build it first"
    else:
        reason = f"its current generation on {where} was built by another recipe ({current[0].identity.recipe})"
        remedy = "Run vm_template_fleet with these lines first"
    return Refusal(subject=subject, option="line", value=wish.manifest.line, reason=reason, remedy=remedy)


def _unknown_image(wish: BundleWish, newest: Generation) -> Refusal:
    return Refusal(
        subject=f"line {wish.manifest.line}",
        option="line",
        value=wish.manifest.line,
        reason=f"what VM {newest.vmid} was built from is not known: it was adopted",
        remedy="Build a generation from the image first",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportWish:
    """C(files) are the small files by path; C(image) is where the image goes, empty where none does."""

    bundle: str
    whole: Digest | None
    """The digest of the bundle where C(bundle) is a URL."""
    manifest: Manifest
    signed_by: str | None
    files: Mapping[str, bytes]
    image: str
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportFound:
    """What is there already."""

    files: Mapping[str, FileState]
    has_image: bool


MODE = 0o644


def plan_import(wish: ImportWish, found: ImportFound) -> Plan:
    """The files that are not there as the bundle has them."""
    writes = needed((WriteFile(path=path, data=data, mode=MODE) for path, data in wish.files.items()), found.files)
    steps: list[Step] = [*writes]
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for write in writes:
        before[write.path] = "absent" if found.files[write.path].data is None else "other"
        after[write.path] = "present"
    if wish.image and not found.has_image:
        digest = Digest.parse(wish.manifest.image)
        steps.append(TakeImage(bundle=wish.bundle, whole=wish.whole, digest=digest, path=wish.image))
        before[wish.image], after[wish.image] = "absent", "present"
    return Plan(before=before, after=after, steps=tuple(steps), result=wish.result)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexWish:
    """The index of a folder and its signature, empty where it is not signed, by path."""

    files: Mapping[str, bytes]
    result: Mapping[str, Any]


def plan_index(wish: IndexWish, found: Mapping[str, FileState]) -> Plan:
    """The two files that are not there as they are wanted."""
    steps = needed((WriteFile(path=path, data=data, mode=MODE) for path, data in wish.files.items()), found)
    before = {step.path: "absent" if found[step.path].data is None else "other" for step in steps}
    return Plan(before=before, after=dict.fromkeys(before, "present"), steps=steps, result=wish.result)
