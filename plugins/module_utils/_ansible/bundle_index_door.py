# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the door C(vm_template_bundle_index) is made of."""

from __future__ import annotations

import hashlib
import typing as t
from collections.abc import Mapping
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from .._apply.files import write_files
from .._images import ssh_signature
from .._images.bundle_file import read_bundle
from .._images.errors import ImageError
from .._model.bundle import INDEX_NAME, BundleProblem, Indexed, is_bundle_name, read_manifest, render_index
from .._plan.bundle import IndexWish, bundle_view, plan_index
from .._plan.files import FileState
from .._plan.plan import OptionProblems
from .run import LocalDoor, run_here


def index_options() -> dict[str, dict[str, t.Any]]:
    """Which folder, and who signs."""
    return {"folder": {"type": "path", "required": True}, "signing_key": {"type": "path", "no_log": False}}


def run_vm_template_bundle_index(module: AnsibleModule) -> t.NoReturn:
    """Lead one call of C(vm_template_bundle_index) through."""
    door: LocalDoor[IndexWish, Mapping[str, FileState]] = LocalDoor(
        desired=_wish,
        read=lambda wish: {path: _state(Path(path)) for path in wish.files},
        plan=plan_index,
        apply=lambda _wish, plan: write_files(plan),
    )
    run_here(module, door)


def _wish(params: Mapping[str, t.Any]) -> IndexWish:
    """The index as it shall be. Raises OptionProblems for bundles that nobody could take in."""
    folder = Path(params["folder"])
    if not folder.is_dir():
        raise OptionProblems((f"folder={params['folder']!r}: there is no such folder",))
    problems: list[str] = []
    bundles = [one for path in sorted(folder.glob("*.tar")) if (one := _indexed(path, problems)) is not None]
    lines = [one.manifest.line for one in bundles]
    twice = sorted({line for line in lines if lines.count(line) > 1})
    problems += [f"{folder}: line {line} has several bundles; keep one" for line in twice]
    if not params["signing_key"] and (folder / f"{INDEX_NAME}.sig").exists():
        problems.append("signing_key: the index was signed before. Name the key, or remove the signature")
    if problems:
        raise OptionProblems(tuple(problems))
    raw = render_index(bundles)
    path = str(folder / INDEX_NAME)
    files = {path: raw}
    if params["signing_key"]:
        files[f"{path}.sig"] = _signature(raw, Path(params["signing_key"]), Path(f"{path}.sig"))
    listed = [{"file": one.file, "digest": one.digest, **bundle_view(one.manifest)} for one in bundles]
    return IndexWish(files=files, result={"index": path, "bundles": listed, "signed": bool(params["signing_key"])})


def _indexed(path: Path, problems: list[str]) -> Indexed | None:
    try:
        if not is_bundle_name(path.name):
            raise BundleProblem("its name has characters other than letters, digits, '.', '_' and '-'")
        manifest = read_manifest(read_bundle(path).manifest)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (BundleProblem, ImageError, OSError) as error:
        problems.append(f"{path.name}: {error}")
        return None
    return Indexed(file=path.name, digest=f"sha256:{digest}", manifest=manifest)


def _signature(raw: bytes, key: Path, former: Path) -> bytes:
    """The signature that is there if it holds: some kinds of keys sign differently each time."""
    public = ssh_signature.public_key(key)
    try:
        there = former.read_bytes()
        ssh_signature.verify(raw, there, [public], what=str(former), namespace=ssh_signature.INDEX)
    except (OSError, ImageError):
        return ssh_signature.sign(raw, key, ssh_signature.INDEX)
    return there


def _state(path: Path) -> FileState:
    try:
        return FileState(data=path.read_bytes(), mode=path.stat().st_mode & 0o7777)
    except FileNotFoundError:
        return FileState()
