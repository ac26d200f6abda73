# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A catalogue file that names a signed index elsewhere: its images are usable by id and by their lines' names."""

from __future__ import annotations

import hashlib
import json
import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._images import catalog_index

from tests.support.door import run_module
from tests.support.workbench import IMAGE, Bench, Result


def keypair(folder: Path, name: str) -> Path:
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True)
    return path


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """A process asks an index once; the tests are one process."""
    catalog_index.fetch_index.cache_clear()
    yield
    catalog_index.fetch_index.cache_clear()


@pytest.fixture
def shop(bench: Bench, tmp_path: Path) -> Bench:
    """A folder on the web with the bundles of two lines of one image, and a signed index."""
    folder = tmp_path / "shop"
    folder.mkdir()
    ours = keypair(tmp_path, "ours")
    lines = [{"line": line, "image": IMAGE, "storage": "local-lvm", "disk": {"size": "10G"}} for line in ("web", "db")]
    fleet = {"lines": lines, "nodes": ["pve1"], "catalog_files": [str(bench.catalog)]}
    assert bench.call("vm_template_fleet", fleet)["changed"]
    for line in ("web", "db"):
        made = bench.call(
            "vm_template_bundle", {**fleet, "line": line, "path": str(folder / f"{line}.tar"), "signing_key": str(ours)}
        )
        assert made["changed"], made
    assert run_module("vm_template_bundle_index", {"folder": str(folder), "signing_key": str(ours)})["changed"]
    for file in folder.iterdir():
        bench.vendor.files[f"shop/{file.name}"] = file.read_bytes()
    bench.vendor.asked.clear()
    return bench


def source(bench: Bench, folder: Path, **changes: t.Any) -> str:
    """The catalogue file that names the index; None leaves a key out."""
    document = {
        "schema_version": 1,
        "index": f"{bench.vendor.url}/shop",
        "trusted_keys": [(folder / "ours.pub").read_text()],
        **changes,
    }
    path = folder / "community.yml"
    path.write_text(json.dumps({key: value for key, value in document.items() if value is not None}), encoding="utf-8")
    return str(path)


def info(path: str, *ids: str) -> Result:
    return run_module("cloud_image_info", {"ids": list(ids), "catalog_files": [path]})


def test_an_image_of_the_index_is_built_from_by_its_id(shop: Bench, tmp_path: Path) -> None:
    path = source(shop, tmp_path)
    result = shop.template(line="elsewhere", catalog_files=[path])
    assert not result.get("failed"), result
    assert result["template"]["current"]["image"] == IMAGE
    image = hashlib.sha256(shop.vendor.files["debian/debian-13.qcow2"]).hexdigest()
    assert result["template"]["current"]["source"] == f"sha256:{image}"


def test_a_line_of_the_index_is_its_images_name(shop: Bench, tmp_path: Path) -> None:
    """And its recipe is that of the bundle, whoever builds it."""
    path = source(shop, tmp_path)
    before = {vm.config["tags"] for vm in shop.cluster.vms.values() if "line-web" in vm.config["tags"]}
    result = shop.template(line="web", image=None, catalog_files=[path], disk={"size": "10G"})
    assert result["changed"] is False, result
    assert before
    assert {image["id"] for image in info(path, "web", "db")["images"]} == {IMAGE}


def test_the_index_is_asked_once_by_a_fleet(shop: Bench, tmp_path: Path) -> None:
    lines = [{"line": f"line-{number}", "image": IMAGE, "storage": "local-lvm"} for number in range(4)]
    params = {"lines": lines, "nodes": ["pve1"], "catalog_files": [source(shop, tmp_path)]}
    assert not shop.call("vm_template_fleet", params, check=True).get("failed")
    assert [name for name in shop.vendor.asked if name.startswith("shop/")] == [
        "shop/index.json",
        "shop/index.json.sig",
    ]


def test_lines_that_are_not_wanted_are_left_out(shop: Bench, tmp_path: Path) -> None:
    path = source(shop, tmp_path, lines=["web"])
    assert info(path, "web")["images"]
    assert "'db' is not in the catalogue" in info(path, "db")["msg"]
    nothing = info(source(shop, tmp_path, lines=["web", "mail"]), "web")
    assert "lines: the index does not have mail; its lines are: db, web" in nothing["msg"]


def _spoil(files: dict[str, bytes]) -> None:
    """One size in one manifest is another."""
    index = json.loads(files["shop/index.json"])
    index["bundles"][0]["manifest"]["options"]["disk"]["size"] = "99G"
    files["shop/index.json"] = json.dumps(index).encode()


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (_spoil, "the signature of its index is not that of this file"),
        (lambda files: files.pop("shop/index.json.sig"), "404"),
        (lambda files: files.pop("shop/index.json"), "404"),
        (lambda files: files.update({"shop/index.json.sig": b""}), "its index is not signed"),
    ],
    ids=["tampered", "unsigned", "gone", "empty signature"],
)
def test_an_index_that_is_not_what_was_signed_is_refused(
    shop: Bench, tmp_path: Path, spoil: t.Callable[[dict[str, bytes]], object], text: str
) -> None:
    spoil(shop.vendor.files)
    result = shop.template(line="elsewhere", catalog_files=[source(shop, tmp_path)])
    assert result["failed"]
    assert f"{shop.vendor.url}/shop cannot be used: " in result["msg"]
    assert text in result["msg"]
    assert shop.sent() == []


def test_an_index_of_somebody_else_is_refused(shop: Bench, tmp_path: Path) -> None:
    theirs = keypair(tmp_path, "theirs").with_suffix(".pub").read_text()
    result = info(source(shop, tmp_path, trusted_keys=[theirs]), IMAGE)
    assert "was signed by the key SHA256:" in result["msg"]
    assert "which is not among the trusted ones" in result["msg"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"trusted_keys": None}, "trusted_keys: name the public keys"),
        ({"trusted_keys": []}, "trusted_keys: name the public keys"),
        ({"trusted_keys": ["-----BEGIN OPENSSH PRIVATE KEY-----"]}, "trusted_keys[0]: that is a private key"),
        ({"trusted_keys": "ssh-ed25519 AAAA"}, "trusted_keys: 'ssh-ed25519 AAAA' is no list"),
        ({"index": "ftp://x"}, "index: 'ftp://x': write the folder as https://"),
        ({"images": []}, "images: a file that names an index has no such key"),
        ({"schema_version": 2}, "schema_version: write 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_with_the_file_is_told(shop: Bench, tmp_path: Path, changes: dict[str, t.Any], text: str) -> None:
    path = source(shop, tmp_path, **changes)
    result = info(path, IMAGE)
    assert f"{path}: {text}" in result["msg"]
    assert shop.vendor.asked == []
