# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the door C(vm_template_bundle) is made of."""

from __future__ import annotations

import os
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from .._apply.bundle import apply_bundle
from .._images import ssh_signature
from .._images.bundle_file import read_bundle
from .._images.catalog import load_catalog
from .._images.errors import ImageError
from .._model.bundle import Manifest
from .._model.recipe import RECIPE_SCHEMA
from .._model.template import Generation
from .._plan.bundle import BundleFound, BundleWish, plan_bundle
from .._plan.plan import OptionProblems
from .._pve.client import Client
from .._read.cluster import read_cluster
from .._read.templates import read_lines
from .bundle_line import fetcher_to, portable_options, recipe_of
from .fleet_door import fleet_options
from .run import Door, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The wish, with what signs it and where files are fetched to."""

    wish: BundleWish
    key: Path | None
    directory: Path


def bundle_options() -> dict[str, dict[str, t.Any]]:
    """Which of the lines, where to, and signed by whom."""
    fleet = fleet_options()
    return {
        "line": {"type": "str", "required": True},
        "path": {"type": "path", "required": True},
        **{name: fleet[name] for name in ("lines", "nodes", "catalog_files")},
        "include_image": {"type": "bool", "default": False},
        "download_dir": {"type": "path"},
        "signing_key": {"type": "path", "no_log": False},
    }


def run_vm_template_bundle(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_template_bundle) through."""
    door: Door[Wanted, BundleFound] = Door(
        desired=lambda params: _wanted(params, Path(module.tmpdir)),
        read=_read,
        plan=lambda wanted, found: plan_bundle(wanted.wish, found),
        apply=lambda _client, wanted, plan: apply_bundle(plan, _signer(wanted), fetcher_to(wanted.directory)),
    )
    run(module, door)


def _wanted(params: Mapping[str, t.Any], tmpdir: Path) -> Wanted:
    problems: list[str] = []
    path = os.path.realpath(params["path"])
    if os.path.isdir(path) or not os.path.isdir(os.path.dirname(path)):
        problems.append(f"path={params['path']!r}: name a file in a folder that exists")
    given = [one for one in params["lines"] if one["line"] == params["line"]]
    if len(given) != 1:
        known = ", ".join(one["line"] for one in params["lines"]) or "none"
        problems.append(f"line={params['line']!r}: it is not once among lines, which are: {known}")
    key = Path(params["signing_key"]) if params["signing_key"] else None
    if key is not None and not key.is_file():
        problems.append(f"signing_key={params['signing_key']!r}: there is no such file")
    if problems:
        raise OptionProblems(tuple(problems))
    options = portable_options(given[0])
    nodes = given[0]["nodes"] if given[0]["nodes"] is not None else params["nodes"]
    recipe = recipe_of(options, params["catalog_files"])
    manifest = Manifest(
        line=params["line"],
        options=_named(options, params["catalog_files"]),
        recipe=recipe,
        recipe_schema=RECIPE_SCHEMA,
        identity={},
        catalog=None if "url" in options else _entry(options, params["catalog_files"]),
    )
    wish = BundleWish(
        path=path,
        manifest=manifest,
        nodes=tuple(nodes),
        with_image=params["include_image"],
        signed=key is not None,
    )
    directory = Path(params["download_dir"]) if params["download_dir"] else tmpdir
    return Wanted(wish=wish, key=key, directory=directory)


def _named(options: dict[str, t.Any], catalog_files: t.Sequence[str]) -> dict[str, t.Any]:
    """The options with the image's own id, whichever alias, or the line's name, it was called by."""
    if "url" in options:
        return options
    return {**options, "image": _canonical(options, catalog_files)}


def _canonical(options: Mapping[str, t.Any], catalog_files: t.Sequence[str]) -> str:
    return load_catalog([Path(path) for path in catalog_files]).canonical(options.get("image") or options["line"])


def _entry(options: Mapping[str, t.Any], catalog_files: t.Sequence[str]) -> dict[str, t.Any]:
    """The catalogue entry as it is written, for the line's architecture only."""
    name = _canonical(options, catalog_files)
    entries = load_catalog([Path(path) for path in catalog_files]).entries()
    entry = dict(next(one for one in entries if one["id"] == name))
    entry["architectures"] = {options["arch"]: dict(entry["architectures"][options["arch"]])}
    return entry


def _read(client: Client, wanted: Wanted) -> BundleFound:
    found, _unknown = read_lines(client, read_cluster(client), line=wanted.wish.manifest.line)
    generations = tuple(one for one in found if isinstance(one, Generation))
    generations = tuple(one for one in generations if one.identity.line == wanted.wish.manifest.line)
    try:
        there = read_bundle(Path(wanted.wish.path))
    except ImageError:
        return BundleFound(generations=generations, manifest=None, has_image=False, signed_as_wanted=False)
    return BundleFound(
        generations=generations,
        manifest=there.manifest,
        has_image=there.has_image,
        signed_as_wanted=_is_signed(there.manifest, there.signature, wanted.key),
    )


def _is_signed(manifest: bytes, signature: bytes, key: Path | None) -> bool:
    if key is None:
        return not signature
    try:
        ssh_signature.verify(manifest, signature, [ssh_signature.public_key(key)], what="the bundle")
    except ImageError:
        return False
    return True


def _signer(wanted: Wanted) -> t.Callable[[bytes], bytes] | None:
    key = wanted.key
    return None if key is None else lambda data: ssh_signature.sign(data, key)
