# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the maintenance of the role container_registry decides, and how it copies. Real engines: tests/hosts."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).resolve().parents[3] / "roles" / "container_registry" / "files" / "container_registry.py"
DAY = 86400
NOW = 1_000 * DAY


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("container_registry_tool", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rule(keep: int, keep_days: int = 0, keep_tags: str = "latest") -> dict[str, object]:
    return {"keep": keep, "keep_days": keep_days, "keep_tags": keep_tags}


@pytest.mark.parametrize(
    ("pushed", "by", "stay"),
    [
        ({"a": 1, "b": 2, "c": 3}, rule(2), {"b", "c"}),
        ({"a": 1}, rule(2), {"a"}),
        ({"latest": 1, "b": 2, "c": 3}, rule(1), {"latest", "c"}),
        ({"v1": 1, "b": 2, "c": 3}, rule(1, keep_tags=r"v\d+"), {"v1", "c"}),
        # A name that only begins like one that stays goes.
        ({"latest-broken": 1, "b": 2}, rule(1), {"b"}),
        ({"a": NOW - 3 * DAY, "b": NOW - DAY, "c": NOW}, rule(1, keep_days=2), {"b", "c"}),
        # Pushed in the same second: one of them, and always the same.
        ({"a": 5, "b": 5}, rule(1), {"b"}),
    ],
)
def test_tags_that_stay(tool, pushed, by, stay):
    assert tool.kept_tags(pushed, by, NOW) == stay


HEX = "ab" * 32


@pytest.mark.parametrize(
    ("path", "digest"),
    [
        (f"docker/registry/v2/blobs/sha256/ab/{HEX}/data", HEX),
        (f"team/app/blobs/sha256/{HEX}", HEX),
        (f"docker/registry/v2/repositories/team/app/_layers/sha256/{HEX}/link", None),
        ("docker/registry/v2/repositories/team/app/_manifests/tags/1/current/link", None),
        ("team/app/index.json", None),
        ("team/app/blobs/sha256/short", None),
    ],
)
def test_what_a_path_says_of_its_content(tool, path, digest):
    assert tool.named_digest(Path(path)) == digest


def blob(folder: Path, content: bytes) -> Path:
    digest = hashlib.sha256(content).hexdigest()
    file = folder / "docker/registry/v2/blobs/sha256" / digest[:2] / digest / "data"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return file


def tag(folder: Path, repository: str, name: str, digest: str) -> Path:
    link = folder / "docker/registry/v2/repositories" / repository / "_manifests/tags" / name / "current/link"
    link.parent.mkdir(parents=True)
    link.write_text(digest, encoding="ascii")
    return link


def test_links_come_before_what_they_name_and_uploads_do_not_come(tool, tmp_path):
    # A blob is there before a tag names it, so whoever copies the tags first has all of their blobs.
    file = blob(tmp_path, b"layer").relative_to(tmp_path)
    link = tag(tmp_path, "team/app", "1", f"sha256:{HEX}").relative_to(tmp_path)
    upload = tmp_path / "docker/registry/v2/repositories/team/app/_uploads/1234/data"
    upload.parent.mkdir(parents=True)
    upload.write_bytes(b"half")
    assert tool.files_below(tmp_path) == [link, file]


def test_tags_are_read_from_the_copy(tool, tmp_path):
    tag(tmp_path, "team/app", "1", f"sha256:{HEX}")
    tag(tmp_path, "alone", "latest", "sha256:" + "cd" * 32)
    index = tmp_path / "zot/repo/index.json"
    index.parent.mkdir(parents=True)
    named = {"digest": f"sha256:{HEX}", "annotations": {"org.opencontainers.image.ref.name": "v1"}}
    index.write_text(json.dumps({"manifests": [named, {"digest": "sha256:0"}]}), encoding="utf-8")
    assert tool.tags_below(tmp_path) == {
        "team/app": {"1": f"sha256:{HEX}"},
        "alone": {"latest": "sha256:" + "cd" * 32},
        "zot/repo": {"v1": f"sha256:{HEX}"},
    }


def test_a_damaged_blob_is_not_copied_silently(tool, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    file = blob(source, b"layer")
    tool.copy_checked(source, file.relative_to(source), target)
    assert target.read_bytes() == b"layer"
    file.write_bytes(b"lay3r")
    with pytest.raises(tool.Trouble, match="does not hash to its name"):
        tool.copy_checked(source, file.relative_to(source), target)


def test_a_configuration_that_lacks_something_is_refused_by_name(tool, tmp_path):
    file = tmp_path / "maintenance.json"
    file.write_text(json.dumps(dict.fromkeys(tool.REQUIRED - {"quota"}, "")), encoding="utf-8")
    with pytest.raises(tool.Trouble, match="quota missing"):
        tool.read_config(file)


def test_a_pattern_that_is_none_is_refused_by_name(tool, tmp_path):
    file = tmp_path / "maintenance.json"
    config = {**dict.fromkeys(tool.REQUIRED, ""), "retention": [{"repositories": "team/(", "keep": 1}]}
    file.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(tool.Trouble, match=r"repositories='team/\('"):
        tool.read_config(file)


def test_without_a_file_the_registry_is_writable(tool, tmp_path):
    config = {"mode_map": str(tmp_path / "mode.map")}
    assert tool.mode(config) == "writable"
    (tmp_path / "mode.map").write_text("mode readonly:full\n", encoding="ascii")
    assert tool.mode(config) == "readonly:full"
