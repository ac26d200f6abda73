# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the door C(vm_template_bundle_import) is made of."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from .._apply.bundle import apply_import
from .._images import ssh_signature
from .._images.bundle_file import matches, read_bundle
from .._images.catalog import load_catalog
from .._images.errors import ArchiveMembers, MissingSignature, TrustError
from .._images.http import RequestsHttp
from .._images.unpack import file_key
from .._model.bundle import INDEX_NAME, BundleProblem, Manifest, read_index, read_manifest
from .._model.image import Digest
from .._plan.bundle import ImportFound, ImportWish, bundle_view, plan_import
from .._plan.files import FileState
from .._plan.plan import OptionProblems
from .bundle_line import catalog_name, catalog_text, fetcher_to, recipe_of
from .run import LocalDoor, run_here


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A bundle whose manifest is verified: where it is, with its digest where that is a URL, and who signed."""

    where: str
    whole: Digest | None
    manifest: Manifest
    signed_by: str | None


def import_options() -> dict[str, dict[str, t.Any]]:
    """Which bundle, whom to believe, and where its files go."""
    return {
        "path": {"type": "path"},
        "index": {"type": "str"},
        "line": {"type": "str"},
        "dest": {"type": "path", "required": True},
        "trusted_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
        "allow_unsigned": {"type": "bool", "default": False},
    }


def import_rules() -> dict[str, t.Any]:
    """Which options go together."""
    return {
        "required_one_of": [["path", "index"]],
        "mutually_exclusive": [["path", "index"]],
    }


def run_vm_template_bundle_import(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_template_bundle_import) through."""
    tmpdir = Path(module.tmpdir)
    door: LocalDoor[ImportWish, ImportFound] = LocalDoor(
        desired=lambda params: _wish(params, tmpdir),
        read=_found,
        plan=plan_import,
        apply=lambda _wish, plan: apply_import(plan, fetcher_to(tmpdir)),
    )
    run_here(module, door)


def _wish(params: Mapping[str, t.Any], tmpdir: Path) -> ImportWish:
    """The bundle's content, verified before any of it is believed. Raises OptionProblems, ImageError."""
    dest = Path(params["dest"])
    problems = list(_problems(params))
    if problems:
        raise OptionProblems(tuple(problems))
    offer = _from_file(params) if params["path"] else _from_index(params)
    manifest = offer.manifest
    if params["line"] not in (None, manifest.line):
        raise ArchiveMembers(f"{offer.where} is of line {manifest.line}, not {params['line']}")
    catalog = _catalog(manifest)
    _check_recipe(manifest, catalog, tmpdir, offer.where)
    files = {} if catalog is None else {str(dest / catalog_name(manifest.line)): catalog}
    image = str(dest / f"{file_key(Digest.parse(manifest.image))}.part") if manifest.image else ""
    result = {
        **bundle_view(manifest),
        "signed_by": offer.signed_by,
        "catalog_files": list(files),
        "download_dir": str(dest) if image else None,
        "files": [*files, *([image] if image else [])],
    }
    return ImportWish(
        bundle=offer.where,
        whole=offer.whole,
        manifest=manifest,
        signed_by=offer.signed_by,
        files=files,
        image=image,
        result=result,
    )


def _problems(params: Mapping[str, t.Any]) -> t.Iterator[str]:
    for number, key in enumerate(params["trusted_keys"]):
        problem = ssh_signature.key_problem(key)
        if problem:
            yield f"trusted_keys[{number}]: {problem}"
    if not params["trusted_keys"] and not params["allow_unsigned"]:
        yield "trusted_keys: name the public keys whose bundles are believed, or set allow_unsigned to true"
    if not Path(params["dest"]).is_dir():
        yield f"dest={params['dest']!r}: there is no such folder"
    index = params["index"]
    if index is not None and params["line"] is None:
        yield "line: name the line that is meant, as an index has many"
    if index is not None and not index.startswith(("https://", "http://", "file:///")):
        yield f"index={index!r}: write it as https://… or file:///…"
    elif index is not None and index.startswith("http://") and params["allow_unsigned"]:
        yield f"index={index!r}: over plain http anybody on the way can change it. Use https, or ask for a signature"


def _from_file(params: Mapping[str, t.Any]) -> Offer:
    path = Path(params["path"])
    bundle = read_bundle(path)
    signed_by = _signer(bundle.manifest, bundle.signature, params, str(path), ssh_signature.BUNDLE)
    try:
        manifest = read_manifest(bundle.manifest)
    except BundleProblem as problem:
        raise ArchiveMembers(f"{path} cannot be taken in: {problem}") from None
    if bool(manifest.image) is not bundle.has_image:
        what = "missing" if manifest.image else "not in its manifest"
        raise ArchiveMembers(f"{path} is not whole: its image is {what}")
    return Offer(where=str(path), whole=None, manifest=manifest, signed_by=signed_by)


def _from_index(params: Mapping[str, t.Any]) -> Offer:
    """The line's bundle by the folder's index; the bundle itself is got only for an image that is not there yet."""
    http, folder = RequestsHttp(), params["index"].rstrip("/")
    where = f"{folder}/{INDEX_NAME}"
    raw = http.get_bytes(where)
    missing = http.head(f"{where}.sig").status in (404, 410)
    signature = b"" if missing else http.get_bytes(f"{where}.sig")
    signed_by = _signer(raw, signature, params, where, ssh_signature.INDEX)
    try:
        listed = read_index(raw)
    except BundleProblem as problem:
        raise ArchiveMembers(f"{where} cannot be used: {problem}") from None
    found = [one for one in listed if one.manifest.line == params["line"]]
    if len(found) != 1:
        known = ", ".join(sorted({one.manifest.line for one in listed})) or "none"
        told = f"{len(found)} bundles" if found else "no bundle"
        raise ArchiveMembers(f"{where} has {told} of line {params['line']}; its lines are: {known}")
    one = found[0]
    return Offer(
        where=f"{folder}/{one.file}", whole=Digest.parse(one.digest), manifest=one.manifest, signed_by=signed_by
    )


def _signer(raw: bytes, signature: bytes, params: Mapping[str, t.Any], what: str, namespace: str) -> str | None:
    """Who signed. What is unsigned is taken only when that is allowed, a wrong signature never."""
    trusted = params["trusted_keys"]
    if not signature and params["allow_unsigned"]:
        return None
    if not trusted:
        raise MissingSignature(f"{what} is signed, and no trusted_keys are named that could have signed it")
    return ssh_signature.verify(raw, signature, trusted, what=what, namespace=namespace)


def _catalog(manifest: Manifest) -> bytes | None:
    if manifest.catalog is None:
        return None
    shipped = manifest.catalog.get("id") in load_catalog().ids()
    return catalog_text({key: item for key, item in manifest.catalog.items() if key != "replaces"}, replaces=shipped)


def _check_recipe(manifest: Manifest, catalog: bytes | None, tmpdir: Path, path: str) -> None:
    """The same line must have the same recipe here; an option that this collection does not know shows as well."""
    names = []
    if catalog is not None:
        file = tmpdir / "bundle.catalog.yml"
        file.write_bytes(catalog)
        names.append(str(file))
    try:
        digest = recipe_of(manifest.options, names)
    except OptionProblems as problem:
        raise ArchiveMembers(f"{path} cannot be taken in: {problem}") from None
    if digest != manifest.recipe:
        raise TrustError(f"{path}: its line has the recipe {digest} here, and its manifest says {manifest.recipe}")


def _found(wish: ImportWish) -> ImportFound:
    files = {path: _state(Path(path)) for path in wish.files}
    return ImportFound(files=files, has_image=bool(wish.image) and _has_image(wish))


def _has_image(wish: ImportWish) -> bool:
    """As it was taken out, or as a build has unpacked it since: its facts are verified by whoever uses it."""
    part = Path(wish.image)
    unpacked = any(part.parent.glob(f"{part.stem}.*.json"))
    return matches(part, Digest.parse(wish.manifest.image)) or unpacked


def _state(path: Path) -> FileState:
    try:
        return FileState(data=path.read_bytes(), mode=path.stat().st_mode & 0o7777)
    except FileNotFoundError:
        return FileState()
