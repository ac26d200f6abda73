# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the catalogue, own files beside it, and what stands against using an image."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._images import catalog
from ansible_collections.homelab.proxmox.plugins.module_utils._images.catalog import CatalogError, load_catalog
from ansible_collections.homelab.proxmox.plugins.module_utils._model.image import Digest, Firmware

TODAY = datetime.date(2026, 11, 23)
SHA = "sha256:" + "ab" * 32
OWN = f"""
schema_version: 1
images:
  - id: appliance-1
    name: Our appliance
    aliases: [appliance]
    family: appliance
    os_family: debian
    release: '1'
    architectures:
      x86_64:
        url: https://images.example.org/appliance-1.qcow2
        digest: {SHA}
"""


@pytest.fixture
def own(tmp_path):
    """Writes a catalogue file and gives its path."""

    def write(text, name="own.yml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def _refused(*paths):
    with pytest.raises(CatalogError) as caught:
        load_catalog(paths)
    return caught.value.problems


@pytest.mark.parametrize(
    ("alias", "image_id"),
    [
        ("debian-13", "debian-13"),
        ("debian-13-genericcloud", "debian-13"),
        ("debian-trixie", "debian-13"),
        ("ubuntu-noble", "ubuntu-24.04"),
        ("fedora-44", "fedora-44-cloud"),
        ("flatcar-stable", "flatcar-stable-proxmoxve"),
        ("freebsd-15.1", "freebsd-15.1-ufs"),
        ("kali", "kali-2026.2"),
    ],
)
def test_aliases_lead_to_one_entry(alias, image_id):
    assert load_catalog().get(alias).id == image_id


def test_debian_13_is_the_generic_cloud_variant():
    assert load_catalog().get("debian-13").variant == "genericcloud"


@pytest.mark.parametrize(
    ("asked", "suggested"),
    [
        ("debain-13", "debian-13"),
        ("ubuntu24.04", "ubuntu-24.04"),
        ("rocky9", "rocky-9"),
        ("opensuse-leap", "opensuse-leap-16.0"),
    ],
)
def test_an_unknown_id_is_answered_with_suggestions(asked, suggested):
    with pytest.raises(CatalogError, match=f"image: '{asked}' is not in the catalogue; did you mean .*") as caught:
        load_catalog().get(asked)
    assert suggested in str(caught.value)


def test_a_wild_id_is_answered_with_the_way_to_the_list():
    with pytest.raises(CatalogError, match=r"image: 'windows' .*cloud_image_info .*catalog_files"):
        load_catalog().get("windows")


def test_a_missing_architecture_is_answered_with_the_known_ones():
    with pytest.raises(CatalogError, match=r"arch: 'aarch64' .* 'almalinux-10-x86_64-v2'; it exists for x86_64$"):
        load_catalog().get("almalinux-10-x86_64-v2", "aarch64")


def test_firmware_of_an_architecture_overrides_the_entry():
    stream = load_catalog()
    assert stream.get("centos-stream-10").firmware == Firmware(bios=True, uefi=False, secure_boot=False)
    assert stream.get("centos-stream-10", "aarch64").firmware == Firmware(bios=False, uefi=True, secure_boot=False)
    assert "bios-only" not in stream.get("centos-stream-10", "aarch64").quirks


def test_unknown_firmware_is_never_secure_boot_and_keeps_what_proxmox_takes_by_itself():
    assert load_catalog().get("kali-2026.2").firmware == Firmware(bios=True, uefi=False, secure_boot=False)
    assert load_catalog().get("oraclelinux-9").firmware == Firmware(bios=False, uefi=True, secure_boot=True)


def test_an_own_file_adds_an_entry(own):
    path = own(OWN)
    found = load_catalog([path])
    image = found.get("appliance")
    assert (image.id, image.digest, image.url_kind) == ("appliance-1", Digest.parse(SHA), "dated")
    assert found.describe("appliance-1")["origin"] == str(path)
    assert found.describe("appliance-1")["digest"] == SHA
    assert found.describe("debian-13")["origin"] == "shipped"
    assert len(found.ids()) == 110
    assert catalog.problems_for(image, purpose="template", today=TODAY) == []


def test_an_own_file_may_name_a_local_image(own):
    text = OWN.replace("https://images.example.org/", "/srv/images/")
    assert load_catalog([own(text)]).get("appliance-1").url == "/srv/images/appliance-1.qcow2"


def test_defaults_are_taken_whole_and_lists_of_quirks_add_up(own):
    text = OWN.replace(
        "images:\n",
        "defaults:\n  quirks: [root-on-lvm]\n  notes: [From our build.]\n"
        "  lifecycle: {phase: supported, eol: 2030-01-01}\nimages:\n",
    ).replace("    release: '1'\n", "    release: '1'\n    quirks: [no-bash, root-on-lvm]\n")
    image = load_catalog([own(text)]).get("appliance-1")
    assert image.quirks[:2] == ("root-on-lvm", "no-bash")
    assert image.notes == ("From our build.",)
    assert image.lifecycle.eol == "2030-01-01"


def test_an_own_entry_takes_a_shipped_id_only_if_it_says_so(own):
    text = OWN.replace("appliance-1\n", "debian-13\n", 1).replace("    aliases: [appliance]\n", "")
    path = own(text)
    assert _refused(path) == (
        f"{path}: debian-13: the shipped catalogue has this id; write replaces: true, or another id",
    )
    path = own(text.replace("    family:", "    replaces: true\n    family:"))
    found = load_catalog([path])
    assert found.get("debian-13").url == "https://images.example.org/appliance-1.qcow2"
    assert load_catalog().get("debian-13").url.startswith("https://cloud.debian.org/")


def test_replacing_what_is_not_there_is_refused(own):
    path = own(OWN.replace("    family:", "    replaces: true\n    family:"))
    assert _refused(path) == (f"{path}: appliance-1: replaces: true, but the shipped catalogue has no such id",)


def test_two_own_files_may_not_define_one_id(own):
    first, second = own(OWN, "a.yml"), own(OWN, "b.yml")
    assert _refused(first, second) == (
        f"{second}: appliance-1: the id is also defined in {first}; keep one of the two",
    )


def test_an_alias_may_not_hide_another_name(own):
    path = own(OWN.replace("[appliance]", "[debian-13]"))
    assert _refused(path) == (f"{path}: appliance-1: the alias 'debian-13' already stands for debian-13",)


def test_every_problem_of_all_files_is_told_with_file_entry_and_path(own):
    first = own(
        OWN.replace("release: '1'", "release: 1")
        .replace("os_family: debian", "os_family: debiann\n    colour: red")
        .replace(SHA, "sha256:abc"),
        "a.yml",
    )
    second = own(
        OWN.replace("appliance", "other").replace(
            "    architectures:",
            "    discovery: {kind: html-index, pattern: 'x-(', index: 'https://example.org/'}\n"
            "    quirks: [bios-only]\n    architectures:",
        ),
        "b.yml",
    )
    problems = "\n".join(_refused(first, second, first.with_name("none.yml")))
    assert f"{first}: appliance-1: release: 1 is no string; quote it" in problems
    assert f"{first}: appliance-1: os_family: 'debiann' is not one of alpine, " in problems
    assert f"{first}: appliance-1: (top): Additional properties are not allowed ('colour' was unexpected)" in problems
    assert f"{first}: appliance-1: architectures.x86_64.digest: 'sha256:abc' does not have the form" in problems
    assert f"{second}: other-1: quirks.0: 'bios-only' is not one of agent-exec-filtered, " in problems
    assert f"catalog_files: {first.with_name('none.yml')} cannot be read: No such file or directory" in problems


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (
            "discovery: {kind: html-index, pattern: 'x-(', index: 'https://example.org/'}",
            "'x-(' is no regular expression",
        ),
        ("discovery: {kind: html-index, pattern: 'x', index: 'https://example.org/'}", "has no group: put parentheses"),
        ("discovery: {kind: html-index, index: 'https://example.org/'}", "kind html-index also needs pattern"),
        ("discovery: {kind: flatcar-version, index: 'https://example.org/'}", "kind flatcar-version also needs url"),
        (
            "discovery: {kind: flatcar-version, index: 'https://example.org/', url: 'https://example.org/{version}'}",
            "{version} is no placeholder; known: {build}, {dir}, {name}, {url}",
        ),
    ],
)
def test_discovery_that_cannot_work_is_refused(own, lines, problem):
    path = own(OWN.replace("    architectures:", f"    {lines}\n    architectures:"))
    problems = _refused(path)
    assert len(problems) == 1
    assert problems[0].startswith(f"{path}: appliance-1: architectures.x86_64.discovery")
    assert problem in problems[0]


def test_a_sums_file_without_its_form_is_refused(own):
    path = own(OWN.replace("        digest:", "        sums: https://images.example.org/SHA256SUMS\n        digest:"))
    assert _refused(path) == (
        f"{path}: appliance-1: architectures.x86_64.sums: a sums file is named, but the entry does not say "
        "sums: {format, algorithm}",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (OWN.replace("    family:", "    id: twice\n    family:"), "line 7: the key 'id' already stands in line 4"),
        ("images: [", "is no YAML: "),
        ("- a\n- b\n", "(top): ['a', 'b'] is no object"),
        ("images: []\nschema_version: 2\n", "schema_version: 1 was expected"),
        ("images: []\nschema_version: 1\n", "images: [] should be non-empty"),
        ("schema_version: 1\nimages: [{}]\n", "entry 1: (top): 'id' is a required property"),
        ("schema_version: 1\ndefaults: {id: x}\nimages: [{}]\n", "defaults"),
    ],
)
def test_a_file_that_is_no_catalogue_is_refused(own, text, problem):
    path = own(text)
    problems = _refused(path)
    assert all(line.startswith(str(path)) for line in problems)
    assert problem in "\n".join(problems)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "own.yml"
    path.write_bytes(b"\xff\xfe")
    assert _refused(path) == (f"catalog_files: {path} is not UTF-8 text (byte 0)",)


@pytest.mark.parametrize(
    ("image_id", "today", "state"),
    [
        ("debian-13", "2026-11-23", "supported"),
        ("debian-13", "2028-08-09", "supported"),
        ("debian-13", "2028-08-10", "eol"),
        ("debian-12", "2026-11-23", "supported"),  # the LTS team serves it until 2028-06-30
        ("debian-12", "2028-07-01", "eol"),
        ("debian-11", "2026-11-23", "eol"),
        ("ubuntu-24.04", "2030-01-01", "eol"),  # extended support needs a subscription
        ("fedora-43-cloud", "2026-12-09", "supported"),
        ("fedora-43-cloud", "2026-12-10", "eol"),
        ("archlinux-cloudimg", "2040-01-01", "supported"),
        ("fedora-45-beta-cloud", "2026-11-23", "preview"),
        ("cirros-0.6.3", "2026-11-23", "unknown"),
    ],
)
def test_the_state_depends_on_the_day(image_id, today, state):
    assert catalog.lifecycle_state(load_catalog().get(image_id), datetime.date.fromisoformat(today)) == state


LOW = "is of low confidence"
EOL = "is past its end of life"
NO_URL = "has no public URL"
NO_SUMS = "has no published checksums"
NO_CI = "has no cloud-init"


@pytest.mark.parametrize(
    ("image_id", "purpose", "flags", "expected"),
    [
        ("debian-13", "template", {}, []),
        ("debian-12", "template", {}, []),
        ("debian-13-nocloud", "image", {}, []),
        ("debian-13-nocloud", "template", {}, [NO_CI]),
        ("debian-11", "template", {}, [EOL]),
        ("debian-11", "template", {"allow_unverified": True}, [EOL]),
        ("debian-11", "template", {"allow_eol": True}, []),
        ("rocky-8-lvm", "template", {}, [LOW]),
        ("rocky-8-lvm", "template", {"allow_eol": True}, [LOW]),
        ("rocky-8-lvm", "template", {"allow_unverified": True}, []),
        ("oraclelinux-7", "image", {}, [EOL, LOW, NO_SUMS]),
        ("rhel-9-kvm", "template", {"allow_unverified": True}, [NO_URL]),
        ("openbsd-7.9", "template", {}, [NO_SUMS]),
        ("talos-1.13-nocloud", "template", {}, [NO_URL, NO_CI]),
        ("fedora-coreos-stable", "image", {}, []),
        ("fedora-coreos-stable", "template", {"allow_unverified": True}, ["it is configured by Ignition"]),
        ("openeuler-24.03-lts-sp3", "template", {}, [LOW, NO_SUMS, "is not known to run cloud-init"]),
        ("flatcar-stable-proxmoxve", "template", {}, []),
    ],
)
def test_what_stands_against_an_image(image_id, purpose, flags, expected):
    image = load_catalog().get(image_id)
    problems = catalog.problems_for(image, purpose=purpose, today=TODAY, **flags)
    assert len(problems) == len(expected), problems
    for problem, text in zip(problems, expected, strict=True):
        assert problem.startswith(f"image: '{image_id}' ")
        assert text in problem


def test_every_message_names_the_remedy():
    remedies = {
        EOL: "set allow_eol: true",
        LOW: "set allow_unverified: true",
        NO_URL: "catalog_files, with replaces: true, url and digest",
        NO_SUMS: "pin it as digest in a file of your own",
        NO_CI: "choose another variant, or only store it with homelab.proxmox.image",
        "is not known to run cloud-init": "set allow_unverified: true",
    }
    known = load_catalog()
    told = [
        problem
        for name in known.ids()
        for problem in catalog.problems_for(
            known.get(name, known.architectures(name)[0]), purpose="template", today=TODAY
        )
    ]
    seen = set()
    for problem in told:
        (matched,) = [text for text in remedies if text in problem]
        assert remedies[matched] in problem
        seen.add(matched)
    assert seen == set(remedies)


def test_a_digest_given_by_the_caller_stands_in_for_the_vendors():
    image = dataclasses.replace(load_catalog().get("openbsd-7.9"), digest=Digest.parse(SHA))
    assert catalog.problems_for(image, purpose="template", today=TODAY) == []


def test_the_result_holds_only_plain_data():
    described = load_catalog().describe("ubuntu-24.04")
    assert isinstance(described["quirks"], list)
    assert isinstance(described["signature"]["fingerprints"], list)
    assert described["lifecycle"] == {
        "state": "supported",
        "phase": "supported",
        "released": "2024-04-25",
        "eol": "2029-05-31",
        "extended_eol": "2036-05-31",
    }
