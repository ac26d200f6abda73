# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sums parser against the vendors' real files, damaged ones and generated ones."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._images import errors
from ansible_collections.homelab.proxmox.plugins.module_utils._images.sums import (
    Sums,
    algorithm_from_name,
    cleartext_of,
    parse_sums,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._model.image import DIGEST_LENGTHS, Digest
from hypothesis import given, settings
from hypothesis import strategies as st

ALMA = """\
c397eed7023e92c841155831b1f47e26300e5bef0f0256c129322307c897a251  AlmaLinux-9-GenericCloud-9.8-20260526.x86_64.qcow2
c397eed7023e92c841155831b1f47e26300e5bef0f0256c129322307c897a251  AlmaLinux-9-GenericCloud-latest.x86_64.qcow2
"""
DEBIAN = (
    "fcc52bdff35697583f9331b64c688db6681fea98c024a1db185d8857b167f4e1838ead7037f18c12e432229354b1253f29e881a040ce0f5636801576"
    "e715b4b8  debian-13-genericcloud-amd64-daily-20260717-2542.qcow2\n"
)
CENTOS_7 = "e324e3ab1d24a1bbf035ddb365e7f9058c0b454acf48d7aa15c5519fae5998ab  CentOS-7-x86_64-GenericCloud-1503.qcow2\n"
LEAP_16 = "6c3b6b2ded57aa33d73b0eef219fc65b68f08ddd384d70b4c773dc35c8c7cb81  Leap-16.0-Minimal-VM.x86_64-Cloud.qcow2\n"
LEAP_15 = (
    "0f7f09a9a083088b51aa365fe0e4310e6b156c2153d6aa03a77b81eee884e52a "
    "openSUSE-Leap-15.6-Minimal-VM.x86_64-Cloud.qcow2\n"
)
TUMBLEWEED = (
    "e8150b4a7ce5c56587492c930af094236c7a095149d714c015e6860ce6c58e66  "
    "openSUSE-Tumbleweed-Minimal-VM.x86_64-1.0.0-Cloud-Snapshot20240629.qcow2\n"
)
UBUNTU = """\
ce5eee99e0316ef568e82279c66584a48fc7d870d67d8bef670758cecbad9587 *ubuntu-22.04-server-cloudimg-amd64-disk-kvm.img
589fe9ae397168965fa2d2fb7cd8736f5caabe83e184b1e1c00c4c0ae03f7dc5 *noble-server-cloudimg-amd64.manifest
"""
ROCKY = """\
# Rocky-9-GenericCloud.latest.x86_64.qcow2: 645988352 bytes
SHA256 (Rocky-9-GenericCloud.latest.x86_64.qcow2) = 92c206cc6f790c61583247eefe87890f8828420662c17cacf247cec78ab4eec8
"""
CENTOS_STREAM = """\
# CentOS-Stream-GenericCloud-10-latest.x86_64.qcow2: 954073088 bytes
SHA256 (CentOS-Stream-GenericCloud-10-latest.x86_64.qcow2) = 3cb1310f39d92d34d0ea62c1d6f8943f47dce9df6937adb5bd26af8efa5d921d
# CentOS-Stream-GenericCloud-x86_64-10-latest.x86_64.qcow2: 977993728 bytes
SHA256 (CentOS-Stream-GenericCloud-x86_64-10-latest.x86_64.qcow2) = 01851cfb3929274d36a96c5e45ec0772309f73f705a2ffacf404c67fe9966430
"""  # noqa: E501
FEDORA = """\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

# Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2: 583335936 bytes
SHA256 (Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2) = 846574c8a97cd2d8dc1f231062d73107cc85cbbbda56335e264a46e3a6c8ab2f
-----BEGIN PGP SIGNATURE-----

iQIzBAEBCAAdFiEE
-----END PGP SIGNATURE-----
"""  # noqa: E501
HEX = "0123456789abcdef" * 8
SHA256 = HEX[:64]


def gnu(*names: str, value: str = SHA256) -> str:
    return "".join(f"{value}  {name}\n" for name in names)


@pytest.mark.parametrize(
    ("text", "name", "algorithm", "start"),
    [
        (ALMA, "AlmaLinux-9-GenericCloud-latest.x86_64.qcow2", "sha256", "c397eed"),
        (DEBIAN, "debian-13-genericcloud-amd64-daily-20260717-2542.qcow2", "sha512", "fcc52bd"),
        (CENTOS_7, "CentOS-7-x86_64-GenericCloud-1503.qcow2", "sha256", "e324e3a"),
        (LEAP_16, "Leap-16.0-Minimal-VM.x86_64-Cloud.qcow2", "sha256", "6c3b6b2"),
        (LEAP_15, "openSUSE-Leap-15.6-Minimal-VM.x86_64-Cloud.qcow2", "sha256", "0f7f09a"),
        (TUMBLEWEED, "openSUSE-Tumbleweed-Minimal-VM.x86_64-1.0.0-Cloud-Snapshot20240629.qcow2", "sha256", "e8150b4"),
        (UBUNTU, "noble-server-cloudimg-amd64.manifest", "sha256", "589fe9a"),
        (ROCKY, "Rocky-9-GenericCloud.latest.x86_64.qcow2", "sha256", "92c206c"),
        (CENTOS_STREAM, "CentOS-Stream-GenericCloud-x86_64-10-latest.x86_64.qcow2", "sha256", "01851cf"),
        (FEDORA, "Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2", "sha256", "846574c"),
    ],
)
def test_real_files(text: str, name: str, algorithm: str, start: str) -> None:
    digest = parse_sums(text).digest_for(name)
    assert digest.algorithm == algorithm
    assert digest.value.startswith(start)


@pytest.mark.parametrize(
    "text",
    [
        ALMA.replace("\n", "\r\n"),
        "\ufeff" + ALMA,
        ALMA.upper().replace(
            "ALMALINUX-9-GENERICCLOUD-LATEST.X86_64.QCOW2", "AlmaLinux-9-GenericCloud-latest.x86_64.qcow2"
        ),
        ALMA.replace("  ", "\t"),
        ALMA.replace("  Alma", " *./images/Alma"),
        "\n\n" + ALMA.rstrip() + "   ",
        ALMA + ALMA,
    ],
)
def test_forms_that_are_tolerated(text: str) -> None:
    digest = parse_sums(text.encode()).digest_for("AlmaLinux-9-GenericCloud-latest.x86_64.qcow2")
    assert str(digest).startswith("sha256:c397eed")


def test_alias_and_dated_name_share_a_checksum() -> None:
    sums = parse_sums(ALMA)
    dated, alias = sums.names()
    assert sums.digest_for(dated, [alias]) == sums.digest_for(alias)
    with pytest.raises(errors.ConflictingDigests, match="2 different sha256"):
        parse_sums(ALMA.replace("c397", "0000", 1)).digest_for(dated, [alias])


def test_sizes_only_where_they_are_exact() -> None:
    assert parse_sums(ROCKY).size_of("Rocky-9-GenericCloud.latest.x86_64.qcow2") == 645988352
    assert parse_sums("# old.box: 448968K\n" + gnu("old.box")).sizes == {}


def test_command_lines_in_the_file_are_skipped() -> None:
    sums = parse_sums(
        "$ sha256sum turnkey.iso\n" + gnu("turnkey.iso") + "$ sha512sum turnkey.iso\n" + gnu("turnkey.iso", value=HEX)
    )
    assert sums.digest_for("turnkey.iso") == Digest("sha512", HEX)
    assert [number for number, _line in sums.unread] == [1, 3]


@pytest.mark.parametrize("algorithm", sorted(DIGEST_LENGTHS))
def test_bare_checksum_by_its_length(algorithm: str) -> None:
    value = HEX[: DIGEST_LENGTHS[algorithm]]
    assert parse_sums(value.upper()).digest_for("anything.qcow2") == Digest(algorithm, value)


def test_digests_sections_never_take_blake2_for_sha512() -> None:
    blake = HEX[::-1]
    text = f"# BLAKE2B HASH\n{blake}  a.img\n# SHA512 HASH\n{HEX}  a.img\n{HEX[::-1]}  a.img.CONTENTS\n"
    text += f"# MD5 HASH\n{HEX[:32]}  a.img\n"
    assert parse_sums(text, algorithm_hint="sha512").digest_for("a.img") == Digest("sha512", HEX)
    with pytest.raises(errors.NoUsableAlgorithm, match="blake2b"):
        parse_sums(f"# BLAKE2B HASH\n{blake}  a.img\n").digest_for("a.img")
    with pytest.raises(errors.NoUsableAlgorithm, match="sha3-256"):
        parse_sums(f"SHA3-256 (a.img) = {SHA256}").digest_for("a.img")


def test_strongest_algorithm_wins() -> None:
    text = f"MD5 (a) = {HEX[:32]}\nSHA512 (a) = {HEX}\nSHA2-256(a)= {SHA256}\n"
    assert parse_sums(text).digest_for("a").algorithm == "sha512"
    assert parse_sums(text.replace("SHA512", "SHA3-512")).digest_for("a").algorithm == "sha256"


@pytest.mark.parametrize(
    "page",
    [
        "<!DOCTYPE html><html><head><title>404 Not Found</title></head></html>",
        "\n  <HTML><title>404 Not Found</title>",
        f"<html><title>404 Not Found</title><pre>{gnu('a.img')}</pre>",
        "<?xml version='1.0'?><Error><Code>404 Not Found</Code></Error>",
    ],
)
def test_a_web_page_is_no_sums_file(page: str) -> None:
    with pytest.raises(errors.HtmlInsteadOfSums, match="404 Not Found"):
        parse_sums(page, source="https://example.org/SHA256SUMS")


def test_missing_name_lists_the_near_ones() -> None:
    with pytest.raises(errors.NameMissing) as caught:
        parse_sums(gnu("debian-13-genericcloud-amd64.qcow2", "x"), source="SHA256SUMS").digest_for(
            "debian-13-genericcloud-arm64.qcow2"
        )
    assert "SHA256SUMS does not list debian-13-genericcloud-arm64.qcow2" in caught.value.message
    assert "debian-13-genericcloud-amd64.qcow2" in caught.value.message


def test_missing_name_shows_a_line_that_mentions_it() -> None:
    with pytest.raises(errors.NameMissing, match="Line 2 mentions it but holds no checksum: 'zzzz  a.img'"):
        parse_sums(gnu("b.img") + "zzzz  a.img\n").digest_for("a.img")


def test_two_different_checksums() -> None:
    with pytest.raises(errors.ConflictingDigests, match="line 1: .*line 2: "):
        parse_sums(gnu("a.img") + gnu("dir/a.img", value=SHA256[::-1])).digest_for("a.img")


@pytest.mark.parametrize(
    ("text", "hint", "told"),
    [
        (gnu("a.img", value=SHA256[:-1]), None, "63 digits"),
        (gnu("a.img", value=SHA256[:-1]), "sha256", "63 hexadecimal digits, but sha256 has 64"),
        (gnu("a.img", value=HEX[:40]), "sha256", "40 hexadecimal digits, but sha256 has 64"),
        (f"SHA256 (a.img) = {HEX}", None, "128 hexadecimal digits, but sha256 has 64"),
        (f"SHA256 (a.img) = {SHA256[:-1]}g", None, "not hexadecimal"),
        ("SHA256 (a.img) =", None, "0 hexadecimal digits"),
        (SHA256[:-2], None, "62 digits"),
    ],
)
def test_wrong_length(text: str, hint: str | None, told: str) -> None:
    with pytest.raises(errors.BadDigest, match=told):
        parse_sums(text, algorithm_hint=hint).digest_for("a.img")


def test_a_damaged_line_of_another_image_does_no_harm() -> None:
    assert parse_sums(gnu("b.img", value=SHA256[:-1]) + gnu("a.img")).digest_for("a.img").value == SHA256


@pytest.mark.parametrize(
    "text", ["", "# only a comment\n", "not found", "di-amd64-cloudinit-20261004T164559Z.qcow2 1501626368\n"]
)
def test_no_checksum_at_all(text: str) -> None:
    with pytest.raises(errors.NoChecksums):
        parse_sums(text)


def test_binary_is_refused() -> None:
    for raw in (b"\xff\xfe\x00", b"QFI\xfb\x00\x00", b"a\x00b"):
        with pytest.raises(errors.NotText):
            parse_sums(raw)


def test_clearsigned_text_counts_only_between_the_markers() -> None:
    forged = f"{HEX[:64][::-1]}  Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2\n"
    name = "Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2"
    for text in (forged + FEDORA, FEDORA + forged):
        assert parse_sums(text).digest_for(name).value.startswith("846574c")
    assert cleartext_of(FEDORA.replace("SHA256 (Fed", "- SHA256 (Fed")).count("- SHA256") == 0


@pytest.mark.parametrize(
    "text",
    [
        FEDORA + FEDORA,
        FEDORA.partition("-----BEGIN PGP SIGNATURE")[0],
        FEDORA.replace("Hash: SHA256\n", f"Hash: SHA256\n{gnu('a')}"),
        "-----BEGIN PGP SIGNED MESSAGE-----\n-----BEGIN PGP SIGNATURE-----\n",
    ],
)
def test_damaged_clearsigned_files(text: str) -> None:
    with pytest.raises(errors.BadClearsign):
        parse_sums(text)


def test_algorithm_from_the_name_of_the_file() -> None:
    names = {
        "SHA256SUMS": "sha256",
        "x.qcow2.sha512": "sha512",
        "CHECKSUM.SHA512": "sha512",
        "MD5SUMS": "md5",
        "CHECKSUM": None,
    }
    assert {name: algorithm_from_name(f"https://example.org/{name}") for name in names} == names
    assert algorithm_from_name("B2SUMS") == "blake2b"


def _ask_everything(sums: Sums) -> None:
    for name in (*sums.names(), "a.img"):
        try:
            sums.digest_for(name)
        except errors.SumsError as exc:
            assert exc.message


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_arbitrary_bytes_never_do_worse_than_a_sums_error(raw: bytes) -> None:
    try:
        _ask_everything(parse_sums(raw))
    except errors.SumsError as exc:
        assert exc.message


FRAGMENTS = st.sampled_from(
    [SHA256, HEX, HEX[:63], "a.img", "./a.img", "*a.img", "  ", " ", "(a.img)", "SHA256", "SHA3-256", " = ", "#",
     "# SHA512 HASH", "-----BEGIN PGP SIGNED MESSAGE-----", "-----BEGIN PGP SIGNATURE-----", "- ", "Hash: SHA256",
     "\n", "\r\n", "\n\n", "\\", "²"]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(FRAGMENTS, max_size=25), st.sampled_from([None, "sha256", "sha512", "blake2b"]))
def test_shuffled_fragments_never_do_worse_than_a_sums_error(parts: list[str], hint: str | None) -> None:
    try:
        _ask_everything(parse_sums("".join(parts), algorithm_hint=hint))
    except errors.SumsError as exc:
        assert exc.message


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,30}", fullmatch=True)
DIGESTS = st.sampled_from(sorted(DIGEST_LENGTHS)).flatmap(
    lambda algorithm: st.text(
        "0123456789abcdef", min_size=DIGEST_LENGTHS[algorithm], max_size=DIGEST_LENGTHS[algorithm]
    ).map(lambda value: Digest(algorithm, value))
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(NAMES, DIGESTS, min_size=1, max_size=6), st.sampled_from(["gnu", "gnu-binary", "bsd"]))
def test_what_is_printed_is_read_back(digests: dict[str, Digest], form: str) -> None:
    lines = {
        "gnu": lambda name, digest: f"{digest.value}  {name}",
        "gnu-binary": lambda name, digest: f"{digest.value} *{name}",
        "bsd": lambda name, digest: f"{digest.algorithm.upper()} ({name}) = {digest.value}",
    }[form]
    sums = parse_sums("\n".join(lines(name, digest) for name, digest in digests.items()))
    assert {name: sums.digest_for(name) for name in digests} == digests
