# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Public keys: Proxmox's own encoding, and errors that tell nothing but the line and the type."""

from __future__ import annotations

import base64
import re

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.property_string import PropertyStringError
from ansible_collections.homelab.proxmox.plugins.module_utils._model.sshkeys import (
    KEY_TYPES,
    SshKey,
    SshKeys,
    decode,
    encode,
)
from hypothesis import given
from hypothesis import strategies as st


def blob(kind: str, rest: bytes = b"\x00\x00\x00\x01x") -> str:
    return base64.b64encode(len(kind).to_bytes(4, "big") + kind.encode() + rest).decode()


ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMRXd4PolxJgEknmxum7bMWDQ/Hl2qSp+n6MKO0gUq8G lab@pve-lab"
ED_ENCODED = "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIMRXd4PolxJgEknmxum7bMWDQ%2FHl2qSp%2Bn6MKO0gUq8G%20lab%40pve-lab"
RSA = f"ssh-rsa {blob('ssh-rsa')}"


def test_the_recorded_key() -> None:
    keys = SshKeys.parse(ED_ENCODED)
    assert str(keys) == ED_ENCODED
    assert keys.plain == ED
    assert [str(key) for key in keys.keys] == [ED]
    assert (keys.keys[0].type, keys.keys[0].comment, keys.keys[0].options) == ("ssh-ed25519", "lab@pve-lab", "")
    assert str(SshKeys.from_text(ED)) == ED_ENCODED


def test_line_ends_and_order_mean_nothing() -> None:
    keys = SshKeys.parse(f"{ED_ENCODED}%0A{encode(RSA)}%0A%0A")
    assert keys.same_as(SshKeys.from_text(f"{RSA}\r\n\n  {ED}\n"))
    assert not keys.same_as(SshKeys.parse(ED_ENCODED))
    assert not SshKeys.parse(ED_ENCODED).same_as(SshKeys.from_text(ED.replace("lab@", "ops@")))
    assert str(SshKeys.from_text(f"{RSA}\r\n{ED}\n\n")) == encode(f"{RSA}\n{ED}")
    assert SshKeys.parse("").keys == ()


def test_replacing_keeps_the_text_of_the_same_keys() -> None:
    keys = SshKeys.parse(f"{ED_ENCODED}%0A")
    assert keys.replace(keys=keys.keys) is keys
    assert str(keys.replace(keys=(SshKey.parse(RSA),))) == encode(RSA)


@pytest.mark.parametrize("kind", sorted(KEY_TYPES))
def test_every_type_of_key(kind: str) -> None:
    assert SshKey.parse(f"{kind} {blob(kind)} me and you") == SshKey("", kind, blob(kind), "me and you")


@pytest.mark.parametrize(
    "options",
    [
        "no-pty",
        'command="echo \\"a b\\", c",no-agent-forwarding',
        'from="10.0.0.0/8,!10.0.0.1",restrict',
        "cert-authority",
    ],
)
def test_options_are_kept_and_compared(options: str) -> None:
    key = SshKey.parse(f"{options} {ED}")
    assert (key.options, key.type, key.comment) == (options, "ssh-ed25519", "lab@pve-lab")
    assert str(key) == f"{options} {ED}"
    assert not SshKeys.from_text(f"{options} {ED}").same_as(SshKeys.from_text(ED))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["secret words"], "sshkeys, line 1: no OpenSSH public key (type, data, comment)"),
        ([ED, "", "ssh-rsa AAAAsecret"], "sshkeys, line 3: the data of this ssh-rsa key is damaged"),
        ([ED, "ssh-ed25519"], "sshkeys, line 2: the data of this ssh-ed25519 key is damaged"),
        ([f"ssh-rsa {blob('ssh-ed25519')}"], "sshkeys, line 1: the data of this ssh-rsa key is damaged"),
        ([f"ssh-rsa {blob('ssh-rsa', b'')}"], "sshkeys, line 1: the data of this ssh-rsa key is damaged"),
        ([ED, "# secret"], "sshkeys, line 2: no OpenSSH public key (type, data, comment)"),
        ([f"ssh-secret {blob('ssh-secret')}"], "sshkeys, line 1: no OpenSSH public key (type, data, comment)"),
        ([f'command="secret {ED}'], "sshkeys, line 1: no OpenSSH public key (type, data, comment)"),
        (
            ["-----BEGIN OPENSSH PRIVATE KEY-----", "secret"],
            "sshkeys, line 1: this is a private key; give the public one (the .pub file)",
        ),
        (["ssh-rsa sécret"], "sshkeys, line 1: the data of this ssh-rsa key is damaged"),
    ],
)
def test_errors_tell_the_line_and_at_most_the_type(lines: list[str], message: str) -> None:
    with pytest.raises(PropertyStringError, match=f"^{re.escape(message)}$"):
        SshKeys.of(lines)
    with pytest.raises(PropertyStringError, match=f"^{re.escape(message)}$"):
        SshKeys.parse(encode("\n".join(lines)))


@pytest.mark.parametrize("text", [ED, ED.replace(" ", "+"), f"{ED_ENCODED}%", f"{ED_ENCODED}%2", "a\n"])
def test_a_value_that_was_not_encoded(text: str) -> None:
    with pytest.raises(PropertyStringError, match="^sshkeys: the value is not percent-encoded$"):
        SshKeys.parse(text)


def test_a_value_that_is_no_utf_8() -> None:
    with pytest.raises(PropertyStringError, match="^sshkeys: the value is not UTF-8$"):
        SshKeys.parse("%FF")


@given(st.text(st.characters(codec="utf-8")))
def test_encoding_once_is_undone_by_decoding_once(text: str) -> None:
    encoded = encode(text)
    assert decode(encoded) == text
    # pve_verify_urlencoded's own pattern.
    assert re.fullmatch(r"[-%a-zA-Z0-9_.!~*'()]*", encoded)


COMMENT = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), max_size=12)


@given(st.lists(st.tuples(st.sampled_from(sorted(KEY_TYPES)), st.binary(min_size=1), COMMENT), max_size=5))
def test_keys_come_back(keys: list[tuple[str, bytes, str]]) -> None:
    lines = [f"{kind} {blob(kind, rest)} {comment}".strip() for kind, rest, comment in keys]
    made = SshKeys.of(lines)
    assert SshKeys.parse(str(made)) == made
    assert [str(key) for key in made.keys] == lines
    assert made.same_as(SshKeys.of(reversed(lines)))
