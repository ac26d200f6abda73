# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped catalogue: complete, valid, the same as its sources, with patterns that find real names."""

from __future__ import annotations

import importlib.util
import json
import re
import string
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.homelab.proxmox.plugins.module_utils._images import catalog, catalog_file, shipped
from ansible_collections.homelab.proxmox.plugins.module_utils._images.catalog_entry import discovery_of

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ROOT / "catalog"
SCHEMA = json.loads((SOURCES / "schema.json").read_text(encoding="utf-8"))
CATALOG = catalog.load_catalog()
ENTRIES = {entry["id"]: entry for entry in CATALOG.entries()}
BLOCKS = [(entry["id"], arch) for entry in CATALOG.entries() for arch in entry["architectures"]]


def _script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _discovery(image_id, arch):
    entry = ENTRIES[image_id]
    return discovery_of(entry, entry["architectures"][arch])


def test_there_are_109_entries_with_distinct_names():
    assert len(CATALOG.ids()) == 109
    written = [
        entry["id"]
        for path in sorted(SOURCES.glob("*.yml"))
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["images"]
    ]
    assert sorted(written) == sorted(CATALOG.ids())
    names = [name for entry in CATALOG.entries() for name in (entry["id"], *entry.get("aliases", []))]
    assert len(names) == len(set(names))


def test_the_generated_module_is_fresh():
    build = _script("build_catalog")
    assert shipped.__file__ is not None
    assert Path(shipped.__file__).read_text(encoding="utf-8") == build.generated()
    sources = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in SOURCES.glob("*.yml")}
    assert json.loads(shipped.CATALOG) == sources


def test_the_shipped_schema_decides_as_the_source_does():
    def meaning(schema):
        if isinstance(schema, dict):
            drop = {"description", "title", "$schema", "x-meaning"}
            kept = {k: v for k, v in schema.items() if k not in drop or (isinstance(v, dict) and k != "x-meaning")}
            return {key: meaning(value) for key, value in kept.items()}
        return [meaning(item) for item in schema] if isinstance(schema, list) else schema

    assert meaning(json.loads(shipped.SCHEMA)) == meaning(SCHEMA)


@pytest.mark.parametrize("path", sorted(SOURCES.glob("*.yml")), ids=lambda path: path.stem)
def test_every_file_fits_the_schema(path):
    document = catalog_file.parse_yaml(path.read_text(encoding="utf-8"), path.name)
    assert catalog_file.check_document(document, SCHEMA, path.name) == []
    assert {entry["family"] for entry in catalog_file.entries_of(document)} == {path.stem}


def test_every_entry_says_all_that_the_recipe_asks():
    needed = {
        "name",
        "variant",
        "confidence",
        "lifecycle",
        "cloud_init",
        "provisioner",
        "datasources",
        "url_kind",
        "discovery",
        "format",
        "compression",
        "sums",
        "signature",
        "guest_agent",
        "serial_console",
        "firmware",
        "cpu_level",
        "selinux",
        "ostype",
    }
    assert {name: needed - set(entry) for name, entry in ENTRIES.items() if needed - set(entry)} == {}


@pytest.mark.parametrize(("image_id", "arch"), BLOCKS)
def test_every_entry_becomes_an_image_for_each_architecture(image_id, arch):
    image = CATALOG.get(image_id, arch)
    assert (image.id, image.arch) == (image_id, arch)
    assert json.dumps(CATALOG.describe(image_id, arch))
    assert image.url is not None or image.discovery["kind"] != "none" or image.url_kind == "none"
    known = set(SCHEMA["$defs"]["quirk"]["enum"]) | set(SCHEMA["$defs"]["derived_quirk"]["enum"])
    assert set(image.quirks) <= known
    assert len(image.quirks) == len(set(image.quirks))
    if arch == "aarch64":
        assert (image.firmware.bios, image.firmware.uefi, image.cpu_level) == (False, True, "unknown")


def test_no_placeholder_and_no_talk_of_sources_is_left():
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES.glob("*.yml"))
    assert not re.search(r"<(dir|image|VER|TS|label|minor|arch|codename)[^>]*>|YYYYMMDD", text)
    assert not re.search(r"\b(references|OSISM|containerdisks|bpfcompat|qm-template|lima)\b", text)
    for name, entry in ENTRIES.items():
        for arch, block in entry["architectures"].items():
            assert "{" not in (block.get("url") or ""), (name, arch)
            templated = [key for key in ("sums", "signature") if "{" in block.get(key, "")]
            assert not templated or block["url"] is None, (name, arch, templated)


def test_each_written_quirk_and_discovery_kind_is_used_and_explained():
    used = {code for entry in CATALOG.entries() for code in entry.get("quirks", [])}
    assert used == set(SCHEMA["$defs"]["quirk"]["enum"])
    for name in ("quirk", "derived_quirk"):
        assert set(SCHEMA["$defs"][name]["x-meaning"]) == set(SCHEMA["$defs"][name]["enum"])
    readme = (SOURCES / "README.md").read_text(encoding="utf-8")
    kinds = SCHEMA["$defs"]["discovery"]["properties"]["kind"]["enum"]
    assert set(SCHEMA["$defs"]["discovery_arguments"]["x-required"]) == set(kinds)
    assert {_discovery(*block)["kind"] for block in BLOCKS} == set(kinds)
    assert [kind for kind in kinds if f"| `{kind}` |" not in readme] == []
    codes = [*SCHEMA["$defs"]["quirk"]["enum"], *SCHEMA["$defs"]["derived_quirk"]["enum"]]
    assert [code for code in codes if f"`{code}`" not in readme] == []


def test_what_is_not_known_stays_unknown():
    openeuler = CATALOG.get("openeuler-24.03-lts-sp3")
    assert (openeuler.cloud_init, openeuler.guest_agent, openeuler.cpu_level) == ("unknown", "unknown", "unknown")
    assert openeuler.min_disk_gib is None
    assert openeuler.min_ram_mib is None
    assert openeuler.sums is None
    assert "firmware-unattested" in openeuler.quirks
    assert CATALOG.get("rocky-8").signature.fingerprints == ()
    assert CATALOG.get("alt-p11-cloud").default_user is None
    assert CATALOG.architectures("alpine-3.24") == ("x86_64",)


HAND_CHECKED = {
    # id: (sums format, signature kind, end of the fingerprint, user, min disk, min RAM, CPU level, some quirks)
    "ubuntu-24.04": (
        "gnu-binary",
        "detached-sums",
        "7C81",
        "ubuntu",
        8,
        512,
        "x86-64-v1",
        {"img-is-qcow2", "no-agent"},
    ),
    "ubuntu-26.04-amd64v3": ("gnu-binary", "detached-sums", "7C81", "ubuntu", 8, 512, "x86-64-v3", {"img-is-qcow2"}),
    "debian-13": ("gnu", None, None, "debian", 8, 512, "x86-64-v1", {"ipconfig-required", "no-agent"}),
    "almalinux-10": ("gnu", "detached-sums", "E572", "almalinux", 10, 512, "x86-64-v3", {"agent-exec-filtered"}),
    "almalinux-10-x86_64-v2": ("gnu", "detached-sums", "E572", "almalinux", 10, 512, "x86-64-v2", set()),
    "rocky-9-lvm": ("bsd", "detached-sums", "275D", "rocky", 10, 512, "x86-64-v2", {"root-on-lvm"}),
    "centos-stream-9": ("bsd", None, None, "cloud-user", 10, 512, "x86-64-v2", {"bios-only", "user-must-be-set"}),
    "fedora-43-cloud": ("clearsigned-bsd", "clearsigned-sums", "5531", "fedora", 5, 512, "x86-64-v1", set()),
    "fedora-44-cloud-uki": (
        "clearsigned-bsd",
        "clearsigned-sums",
        "90A6",
        "fedora",
        5,
        512,
        "x86-64-v1",
        {"uefi-only"},
    ),
    "opensuse-leap-16.0": ("gnu", "detached-sums", "00A4", "opensuse", 10, 512, "x86-64-v2", {"needs-vga"}),
    "oraclelinux-9": ("json", None, None, "cloud-user", 40, None, "x86-64-v2", {"root-on-lvm", "user-must-be-set"}),
    "amazonlinux-2023": ("gnu", None, None, "ec2-user", 25, 512, "unknown", {"no-agent"}),
    "alpine-3.22-bios": (
        "hash-only",
        "detached-image",
        "DF22",
        "alpine",
        1,
        None,
        "x86-64-v1",
        {"bios-only", "no-bash"},
    ),
    "archlinux-cloudimg": ("gnu", "detached-sums", "6F8F", "arch", 2, None, "x86-64-v1", {"no-secure-boot"}),
    "gentoo-cloudinit": ("clearsigned-gnu", "clearsigned-sums", "2910", "gentoo", 20, None, "unknown", {"uefi-only"}),
    "freebsd-15.1-zfs": ("bsd", None, None, "freebsd", 6, None, "x86-64-v1", {"no-pve-user", "default-password"}),
    "flatcar-stable-proxmoxve": (
        "digests-sections",
        "detached-image",
        "B34A",
        "core",
        10,
        2048,
        "unknown",
        {"needs-ignition", "img-is-qcow2"},
    ),
    "fedora-coreos-stable": ("json", "detached-image", "90A6", "core", None, None, "x86-64-v1", {"needs-ignition"}),
    "kali-2026.2": ("gnu", "detached-sums", "E4C5", "kali", None, None, "x86-64-v1", {"firmware-unattested"}),
    "cirros-0.6.3": ("gnu", None, None, "cirros", 1, 64, "x86-64-v1", {"default-password"}),
}


@pytest.mark.parametrize("image_id", HAND_CHECKED)
def test_facts_that_were_checked_by_hand(image_id):
    form, signed, key, user, disk, ram, level, quirks = HAND_CHECKED[image_id]
    image = CATALOG.get(image_id)
    assert image.sums.format == form
    assert (image.signature.kind if image.signature else None) == signed
    assert (image.signature.fingerprints[0][-4:] if image.signature else None) == key
    assert (image.default_user, image.min_disk_gib, image.min_ram_mib, image.cpu_level) == (user, disk, ram, level)
    assert quirks <= set(image.quirks)


def _filled(template, url, build):
    name = url.rsplit("/", 1)[1]
    values = {"build": build, "name": name, "url": url, "dir": url.rsplit("/", 1)[0]}
    return string.Formatter().vformat(template, (), values)


@pytest.mark.parametrize(("image_id", "arch"), [block for block in BLOCKS if "pattern" in _discovery(*block)])
def test_patterns_find_the_dated_builds_on_record(image_id, arch):
    discovery = _discovery(image_id, arch)
    for build in ENTRIES[image_id]["architectures"][arch].get("known_builds", []):
        url = build["url"]
        # An index may list directories (Ubuntu, Arch) or files.
        found = [
            match for part in url.split("/")[3:] if (match := re.fullmatch(discovery["pattern"], part)) is not None
        ]
        assert found, (discovery["pattern"], url)
        if "url" in discovery:
            assert _filled(discovery["url"], url, "-".join(found[-1].groups())) == url


TEMPLATED = [
    ("debian-13", "20260712-2537"),
    ("debian-11", "20260707-2532"),
    ("ubuntu-24.04", "20260705"),
    ("ubuntu-20.04", "20250624"),
]


@pytest.mark.parametrize(("image_id", "build"), TEMPLATED)
@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_templates_give_the_dated_urls_on_record(image_id, build, arch):
    known = ENTRIES[image_id]["architectures"][arch]["known_builds"][0]["url"]
    discovery = _discovery(image_id, arch)
    assert _filled(discovery["url"], known, build) == known
    assert _filled(discovery["sums"], known, build).startswith(known.rsplit("/", 1)[0] + "/SHA")


@pytest.mark.parametrize(
    "image_id", ["fedora-44-cloud", "fedora-43-cloud", "fedora-44-cloud-uki", "fedora-43-cloud-uki"]
)
def test_fedora_names_come_apart_into_label_and_sums_file(image_id):
    image = CATALOG.get(image_id)
    name = image.url.rsplit("/", 1)[1]
    prefix, suffix = image.discovery["prefix"], image.discovery["suffix"]
    assert name.startswith(prefix)
    assert name.endswith(suffix)
    label = name[len(prefix) : -len(suffix)]
    assert _filled(image.discovery["sums"], image.url, label) == image.sums.url


@pytest.mark.parametrize(
    ("image_id", "name", "build"),
    [
        # Naming schemes that changed: each entry finds its own and not its neighbour's.
        ("alpine-3.24", "alpine-3.24.10-x86_64-cloudinit-r0.qcow2", "3.24.10-r0"),
        ("alpine-3.24", "alpine-3.24.2-x86_64-cloudinit-metal-r2.qcow2", None),
        ("alpine-3.24", "generic_alpine-3.24.1-x86_64-bios-cloudinit-r0.qcow2", None),
        ("alpine-3.24.1-bios", "generic_alpine-3.24.1-x86_64-bios-cloudinit-r1.qcow2", "3.24.1-r1"),
        ("alpine-3.24.1-bios", "generic_alpine-3.24.1-x86_64-uefi-cloudinit-r1.qcow2", None),
        ("alpine-3.23-uefi", "nocloud_alpine-3.23.5-x86_64-uefi-cloudinit-r0.qcow2", "3.23.5-r0"),
        ("alpine-3.23-uefi", "nocloud_alpine-3.23.5-x86_64-uefi-tiny-r0.qcow2", None),
        ("almalinux-9", "AlmaLinux-9-GenericCloud-9.8-20260526.x86_64.qcow2", "9.8-20260526"),
        ("almalinux-9", "AlmaLinux-9-GenericCloud-9.8-20260526.1.x86_64.qcow2", "9.8-20260526.1"),
        ("almalinux-9", "AlmaLinux-9-GenericCloud-ext4-9.8-20260526.x86_64.qcow2", None),
        ("almalinux-9", "AlmaLinux-9-GenericCloud-latest.x86_64.qcow2", None),
        ("almalinux-8", "AlmaLinux-8-GenericCloud-UEFI-8.10-20240530.x86_64.qcow2", None),
        ("rocky-9", "Rocky-9-GenericCloud-Base-9.8-20260525.0.x86_64.qcow2", "9.8-20260525.0"),
        ("rocky-9", "Rocky-9-GenericCloud-Base.latest.x86_64.qcow2", None),
        ("rocky-9", "Rocky-9-GenericCloud-9.8-20260525.0.x86_64.qcow2", None),
        ("centos-stream-10", "CentOS-Stream-GenericCloud-10-20260720.0.x86_64.qcow2", "20260720.0"),
        ("centos-stream-10", "CentOS-Stream-GenericCloud-x86_64-10-20260720.0.x86_64.qcow2", None),
        ("centos-stream-10-uefi", "CentOS-Stream-GenericCloud-x86_64-10-20260720.0.x86_64.qcow2", "20260720.0"),
        ("kali-2026.2", "kali-linux-2026.3-cloud-genericcloud-amd64.tar.xz", "2026.3"),
        ("archlinux-cloudimg", "v20260715.556894", "20260715.556894"),
        ("archlinux-cloudimg", "latest", None),
        ("gentoo-cloudinit", "di-amd64-cloudinit-20261004T164559Z.qcow2", "20261004T164559Z"),
        ("ubuntu-24.04-minimal", "release-20260716", "20260716"),
        ("ubuntu-24.04-minimal", "release-20260716.1", "20260716.1"),
        ("ubuntu-24.04-minimal", "release", None),
        ("opencloudos-9.6", "20260514.2", "20260514.2"),
    ],
)
def test_patterns_tell_names_apart(image_id, name, build):
    match = re.fullmatch(_discovery(image_id, "x86_64")["pattern"], name)
    assert ("-".join(match.groups()) if match else None) == build


def test_the_shipped_catalogue_needs_neither_yaml_nor_jsonschema():
    code = (
        "import sys\n"
        "sys.modules['yaml'] = sys.modules['jsonschema'] = None\n"
        "from ansible_collections.homelab.proxmox.plugins.module_utils._images import catalog\n"
        "print(catalog.load_catalog().get('debian-13').default_user)\n"
        "try:\n    catalog.load_catalog(['/dev/null'])\n"
        "except catalog.CatalogError as exc:\n    print(exc)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [
        "debian",
        "/dev/null: a catalogue file needs the Python library PyYAML",
    ]
