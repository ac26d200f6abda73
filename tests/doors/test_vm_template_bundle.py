# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line leaves one site as a file and becomes the same line on another, or is refused with one sentence."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.door import run_module
from tests.support.workbench import IMAGE, Bench, Result

LINE = {
    "line": "debian-13",
    "image": IMAGE,
    "storage": "local-lvm",
    "disk": {"size": "10G"},
    "memory": 4096,
    "description": "Ours.",
    "tags": ["web"],
    "ciuser": "ops",
    "cipassword": "Correct-Horse-77",
    "net": [{"bridge": "vmbr0", "tag": 12}],
}


@pytest.fixture
def built(bench: Bench) -> Bench:
    """A line that its fleet has built."""
    result = bench.call("vm_template_fleet", fleet(bench))
    assert result["changed"], result
    bench.later(hours=1)
    return bench


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two keys."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@lab", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    return {name: folder / name for name in ("ours", "theirs")}


def fleet(bench: Bench, **line: Any) -> dict[str, Any]:
    return {"lines": [{**LINE, **line}], "nodes": ["pve1"], "catalog_files": [str(bench.catalog)]}


def bundle_file(bench: Bench) -> Path:
    return bench.folder / "debian-13.tar"


def export(bench: Bench, *, lines: dict[str, Any] | None = None, **options: Any) -> Result:
    given = {**fleet(bench, **(lines or {})), "line": "debian-13", "path": str(bundle_file(bench)), **options}
    return bench.call("vm_template_bundle", given)


def exported(bench: Bench, **options: Any) -> Result:
    result = export(bench, **options)
    assert not result.get("failed"), result
    return result


def take_in(bench: Bench, key: Path | None = None, *, check: bool = False, **options: Any) -> Result:
    dest = bench.folder / "imported"
    dest.mkdir(exist_ok=True)
    trust = {"trusted_keys": [key.with_suffix(".pub").read_text().strip()]} if key else {"allow_unsigned": True}
    params = {"path": str(bundle_file(bench)), "dest": str(dest), **trust, **options}
    params = {name: value for name, value in params.items() if value is not None}
    return run_module("vm_template_bundle_import", params, check=check)


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def repack(path: Path, parts: dict[str, bytes], **odd: Any) -> None:
    """Write a tar as anybody can; C(odd) are attributes of its last member."""
    with tarfile.open(path, "w:") as archive:
        for number, (name, data) in enumerate(parts.items(), 1):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in odd.items() if number == len(parts) else ():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(data))


# --- there and back


def test_the_line_is_built_elsewhere_of_the_same_recipe_and_image_without_its_vendor(
    built: Bench, keys: dict[str, Path]
) -> None:
    made = exported(built, include_image=True, signing_key=str(keys["ours"]))
    imported = take_in(built, keys["ours"])
    assert not imported.get("failed"), imported
    assert imported["recipe"] == made["recipe"]
    assert imported["signed_by"].startswith("SHA256:")
    built.cluster.vms.clear()
    for shelf in built.cluster.shelves.values():
        shelf.clear()
    built.unreachable()
    result = built.call(
        "vm_template_fleet",
        {
            "lines": [{**imported["line"], "storage": "local-lvm", "transfer": "upload"}],
            "nodes": ["pve1"],
            "catalog_files": imported["catalog_files"],
            "download_dir": imported["download_dir"],
        },
    )
    assert not result.get("failed"), result
    current = result["templates"][0]["current"]
    assert current["recipe"] == made["recipe"]
    assert current["source"] == made["identity"]["source"]
    assert take_in(built, keys["ours"])["changed"] is False, "the image was unpacked since, and is not taken out again"


def test_what_is_a_sites_own_stays_there(built: Bench) -> None:
    result = exported(built)
    assert result["line"] == {
        "line": "debian-13",
        "image": IMAGE,
        "arch": "x86_64",
        "disk": {"size": "10G"},
        "memory": 4096,
        "description": "Ours.",
    }
    assert b"Correct-Horse" not in bundle_file(built).read_bytes()
    assert {"vmid", "run"} & set(result["identity"]) == set()


def test_the_same_line_is_the_same_bundle(built: Bench, keys: dict[str, Path]) -> None:
    signed = {"include_image": True, "signing_key": str(keys["ours"])}
    exported(built, **signed)
    before = bundle_file(built).read_bytes()
    assert exported(built, **signed)["changed"] is False
    bundle_file(built).unlink()
    assert exported(built, **signed)["changed"]
    assert bundle_file(built).read_bytes() == before


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"no tar")])
def test_a_bundle_that_is_missing_or_damaged_is_written_again(built: Bench, spoil: Callable[[Path], Any]) -> None:
    exported(built)
    spoil(bundle_file(built))
    assert exported(built)["changed"]
    assert take_in(built)["recipe"]


def test_another_key_signs_anew(built: Bench, keys: dict[str, Path]) -> None:
    exported(built, signing_key=str(keys["theirs"]))
    assert exported(built, signing_key=str(keys["ours"]))["changed"]
    assert take_in(built, keys["ours"])["signed_by"]


def test_an_own_image_is_fixed_to_the_file_that_was_used(bench: Bench) -> None:
    digest = bench.publish()
    own = {"image": None, "url": bench.url(), "checksum_url": bench.sums()}
    assert bench.call("vm_template_fleet", fleet(bench, **own))["changed"]
    made = exported(bench, lines=own)
    assert made["line"]["checksum"] == f"sha256:{digest}"
    assert "checksum_url" not in made["line"]
    imported = take_in(bench)
    assert imported["catalog_files"] == []
    assert imported["recipe"] == made["recipe"]


def test_check_mode_writes_nothing(built: Bench) -> None:
    given = {**fleet(built), "line": "debian-13", "path": str(bundle_file(built))}
    assert built.call("vm_template_bundle", given, check=True)["changed"]
    assert not bundle_file(built).exists()
    exported(built)
    assert take_in(built, check=True)["changed"]
    assert list((built.folder / "imported").iterdir()) == []


# --- refusals of exports


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"line": "other"}, "line='other': it is not once among lines, which are: debian-13"),
        ({"lines": {"disk": {"size": "12G"}}}, "was built by another recipe"),
        ({"signing_key": "/nowhere"}, "signing_key='/nowhere': there is no such file"),
        ({"path": "/nowhere/x.tar"}, "name a file in a folder that exists"),
        ({"nodes": ["pve9"]}, "there is no current generation of it on pve9"),
    ],
)
def test_what_cannot_be_exported_is_refused(built: Bench, options: dict[str, Any], said: str) -> None:
    result = export(built, **options)
    assert said in result["msg"]
    assert not bundle_file(built).exists()


@pytest.mark.parametrize(
    ("customize", "said"),
    [
        ({"files": [{"path": "/etc/motd", "src": "motd"}]}, "customize.files[0].src: it cannot go into a bundle"),
        ({"users": [{"name": "ops", "passwd": "$6$x"}]}, "a password has no place in a bundle"),
        ({"agent_packages": ["/tmp/agent.deb"]}, "customize.agent_packages: files of this machine cannot go"),
    ],
)
def test_secrets_and_files_of_this_machine_are_not_exported(built: Bench, customize: dict[str, Any], said: str) -> None:
    (built.folder / "motd").write_text("hello")
    assert said in export(built, lines={"customize": customize})["msg"]


def test_an_image_that_the_vendor_no_longer_has_is_named(built: Bench) -> None:
    built.unreachable()
    result = export(built, include_image=True)
    assert "debian-13.qcow2" in result["msg"]
    assert not bundle_file(built).exists()
    built.publish(b"something else")
    assert export(built, include_image=True)["failed"]
    assert not bundle_file(built).exists()


# --- refusals of imports


def assert_refused(bench: Bench, said: str, key: Path | None = None, **options: Any) -> None:
    result = take_in(bench, key, **options)
    assert result.get("failed"), result
    assert said in result["msg"]
    assert list((bench.folder / "imported").iterdir()) == []


@pytest.fixture
def signed(built: Bench, keys: dict[str, Path]) -> Bench:
    exported(built, include_image=True, signing_key=str(keys["ours"]))
    return built


@pytest.mark.parametrize("allow_unsigned", [False, True])
def test_a_manifest_that_was_changed_is_refused(signed: Bench, keys: dict[str, Path], allow_unsigned: bool) -> None:
    parts = members(bundle_file(signed))
    parts["manifest.json"] = parts["manifest.json"].replace(b'"10G"', b'"11G"')
    repack(bundle_file(signed), parts)
    assert_refused(signed, "one of the two was changed", keys["ours"], allow_unsigned=allow_unsigned)


def test_an_image_that_was_changed_is_refused(signed: Bench, keys: dict[str, Path]) -> None:
    parts = members(bundle_file(signed))
    parts["image"] = parts["image"][:-1] + b"x"
    repack(bundle_file(signed), parts)
    result = take_in(signed, keys["ours"])
    assert "is not what the signed manifest says" in result["msg"]
    assert [file.suffix for file in (signed.folder / "imported").iterdir()] == [".yml"]


def test_an_image_that_was_taken_out_or_put_in_is_refused(signed: Bench, keys: dict[str, Path]) -> None:
    parts = members(bundle_file(signed))
    image = parts.pop("image")
    repack(bundle_file(signed), parts)
    assert_refused(signed, "its image is missing", keys["ours"])
    exported(signed, signing_key=str(keys["ours"]))
    repack(bundle_file(signed), {**members(bundle_file(signed)), "image": image})
    assert_refused(signed, "its image is not in its manifest", keys["ours"])


def test_a_bundle_of_another_key_is_refused(signed: Bench, keys: dict[str, Path]) -> None:
    assert_refused(signed, "which is not among the trusted ones", keys["theirs"])


def test_an_unsigned_bundle_has_to_be_allowed(built: Bench, keys: dict[str, Path]) -> None:
    exported(built)
    assert_refused(built, "is not signed", keys["ours"])
    assert_refused(built, "trusted_keys: name the public keys", allow_unsigned=False)
    assert take_in(built)["signed_by"] is None


def test_a_signature_that_nobody_can_check_is_refused(signed: Bench) -> None:
    assert_refused(signed, "is signed, and no trusted_keys are named")


def test_a_private_key_is_not_taken_for_a_public_one(signed: Bench, keys: dict[str, Path]) -> None:
    result = take_in(signed, keys["ours"], trusted_keys=[keys["ours"].read_text()])
    assert "trusted_keys[0]: that is a private key" in result["msg"]


def edited(bench: Bench, **changes: Any) -> None:
    """An unsigned bundle whose manifest says something else."""
    parts = members(bundle_file(bench))
    manifest = {**json.loads(parts["manifest.json"]), **changes}
    manifest = {key: value for key, value in manifest.items() if value is not None}
    repack(bundle_file(bench), {**parts, "manifest.json": json.dumps(manifest).encode()})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bundle_schema": 2}, "it has schema 2, newer than this collection's 1"),
        ({"bundle_schema": None}, "its manifest has no bundle_schema"),
        ({"surprise": 1}, "its manifest has unknown keys: surprise"),
        ({"line": "../../etc/passwd"}, "its manifest does not say which line it is of"),
        ({"recipe": "sha256:" + "0" * 64}, "its line has the recipe sha256:"),
        ({"recipe": "sha256:zz"}, "its manifest has a damaged digest"),
        (
            {"options": {"line": "debian-13", "image": IMAGE, "cipassword": "x"}},
            "options that no bundle holds: cipassword",
        ),
        (
            {"options": {"line": "debian-13", "image": IMAGE, "cores": "many"}},
            "cannot be taken in: line: argument 'cores'",
        ),
        ({"catalog": {"id": IMAGE}}, "cannot be taken in"),
        ({"identity": {"vmid": "9000"}}, "the identity in its manifest is damaged"),
    ],
)
def test_a_manifest_that_cannot_be_meant_is_refused(built: Bench, changes: dict[str, Any], said: str) -> None:
    exported(built)
    edited(built, **changes)
    assert_refused(built, said)


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        ("../evil", {}),
        ("/etc/evil", {}),
        ("image/../../evil", {}),
        ("manifest.json", {}),
        ("image", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}),
        ("image", {"type": tarfile.LNKTYPE, "linkname": "manifest.json", "size": 0}),
        ("image", {"type": tarfile.DIRTYPE, "size": 0}),
    ],
)
def test_members_that_no_bundle_has_are_refused(built: Bench, name: str, odd: dict[str, Any]) -> None:
    exported(built)
    parts = members(bundle_file(built))
    with tarfile.open(bundle_file(built), "w:") as archive:
        for member_name, data in [*parts.items(), (name, b"x")]:
            member = tarfile.TarInfo(member_name)
            member.size = len(data)
            if member_name == name and data == b"x":
                for key, value in odd.items():
                    setattr(member, key, value)
            archive.addfile(member, io.BytesIO(data))
    assert_refused(built, "is no bundle")


@pytest.mark.parametrize("content", [b"", b"no tar", b"\x1f\x8b" + bytes(600)])
def test_a_file_that_is_no_bundle_is_refused(built: Bench, content: bytes) -> None:
    bundle_file(built).write_bytes(content)
    assert_refused(built, "is no bundle")


def test_a_bundle_that_is_cut_off_is_refused(signed: Bench, keys: dict[str, Path]) -> None:
    whole = bundle_file(signed).read_bytes()
    bundle_file(signed).write_bytes(whole[: len(whole) - 100_000])
    result = take_in(signed, keys["ours"])
    assert result["failed"]
    assert not list((signed.folder / "imported").glob("*.part"))


def test_a_folder_that_is_not_there_is_refused(built: Bench) -> None:
    exported(built)
    assert "there is no such folder" in take_in(built, dest=str(built.folder / "nowhere"))["msg"]


# --- a folder of bundles


def index(folder: Path, key: Path | None = None) -> Result:
    signed = {"signing_key": str(key)} if key else {}
    return run_module("vm_template_bundle_index", {"folder": str(folder), **signed})


@pytest.fixture
def shop(signed: Bench, keys: dict[str, Path]) -> Bench:
    """The bundle's folder, served with its signed index; the vendor has nothing else any more."""
    result = index(signed.folder, keys["ours"])
    assert result["changed"], result
    signed.unreachable()
    for file in signed.folder.iterdir():
        if file.is_file() and (file.suffix == ".tar" or file.name.startswith("index")):
            signed.vendor.files[f"shop/{file.name}"] = file.read_bytes()
    signed.vendor.asked.clear()
    return signed


def from_shop(bench: Bench, key: Path | None, **options: Any) -> Result:
    return take_in(bench, key, **{"path": None, "index": f"{bench.vendor.url}/shop/", "line": "debian-13", **options})


def test_a_line_is_taken_from_a_folder_by_its_name(shop: Bench, keys: dict[str, Path]) -> None:
    first = from_shop(shop, keys["ours"])
    assert first["changed"], first
    assert first["line"]["disk"] == {"size": "10G"}
    assert sorted(Path(name).suffix for name in first["files"]) == [".part", ".yml"]
    assert all(Path(name).is_file() for name in first["files"])
    shop.vendor.asked.clear()
    assert from_shop(shop, keys["ours"])["changed"] is False
    assert set(shop.vendor.asked) == {"shop/index.json", "shop/index.json.sig"}, "the bundle is not got again"


def test_an_index_stays_as_it_is_while_its_bundles_do(signed: Bench, keys: dict[str, Path]) -> None:
    assert index(signed.folder, keys["ours"])["changed"]
    assert index(signed.folder, keys["ours"])["changed"] is False
    bundle_file(signed).unlink()
    assert index(signed.folder, keys["ours"])["bundles"] == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda files: files.update({"shop/index.json": files["shop/index.json"] + b" "}),
            "one of the two was changed",
        ),
        (lambda files: files.pop("shop/index.json.sig"), "index.json is not signed"),
        (lambda files: files.pop("shop/index.json"), "404"),
        (lambda files: files.pop("shop/debian-13.tar"), "404"),
        (lambda files: files.update({"shop/debian-13.tar": b"another"}), "debian-13.tar"),
    ],
)
def test_a_folder_that_was_tampered_with_is_refused(
    shop: Bench, keys: dict[str, Path], spoil: Callable[[dict[str, bytes]], Any], said: str
) -> None:
    spoil(shop.vendor.files)
    result = from_shop(shop, keys["ours"])
    assert result.get("failed"), result
    assert said in result["msg"]
    assert not list((shop.folder / "imported").glob("*.part"))


def test_a_bundles_signature_is_none_of_an_index(shop: Bench, keys: dict[str, Path]) -> None:
    parts = members(bundle_file(shop))
    shop.vendor.files["shop/index.json"] = parts["manifest.json"]
    shop.vendor.files["shop/index.json.sig"] = parts["manifest.json.sig"]
    assert "one of the two was changed" in from_shop(shop, keys["ours"])["msg"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"line": "other"}, "has no bundle of line other; its lines are: debian-13"),
        ({"line": None}, "line: name the line that is meant"),
        ({"index": "ftp://x/"}, "index='ftp://x/': write it as"),
        ({"allow_unsigned": True}, "over plain http anybody on the way can change it"),
    ],
)
def test_what_a_folder_cannot_give_is_refused(
    shop: Bench, keys: dict[str, Path], options: dict[str, Any], said: str
) -> None:
    assert said in from_shop(shop, keys["ours"], **options)["msg"]


def test_a_folder_with_what_nobody_could_take_in_gets_no_index(signed: Bench) -> None:
    (signed.folder / "broken.tar").write_bytes(b"no tar")
    (signed.folder / "odd name.tar").write_bytes(bundle_file(signed).read_bytes())
    (signed.folder / "twice.tar").write_bytes(bundle_file(signed).read_bytes())
    result = index(signed.folder)
    assert "broken.tar: " in result["msg"]
    assert "odd name.tar: its name has characters" in result["msg"]
    assert "line debian-13 has several bundles" in result["msg"]
    assert not (signed.folder / "index.json").exists()


def test_a_signed_index_does_not_become_an_unsigned_one_unasked(signed: Bench, keys: dict[str, Path]) -> None:
    index(signed.folder, keys["ours"])
    assert "signing_key: the index was signed before" in index(signed.folder)["msg"]
