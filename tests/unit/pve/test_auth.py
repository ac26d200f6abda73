# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials: which source wins, what contradicts, and that no secret shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.auth import (
    Connection,
    ConnectionOptionError,
    connection_from,
    from_options,
    load_connection_file,
    merge,
    split_host,
)

TOKEN = {"api_token_id": "auto@pve!ci", "api_token_secret": "topsecret"}
PASSWORD = {"api_user": "root@pam", "api_password": "topsecret"}
HOST = {"api_host": "pve.example"}
ENV_TOKEN = {"PROXMOX_TOKEN_ID": "env@pve!e", "PROXMOX_TOKEN_SECRET": "envsecret"}
FILE_TOKEN = {"token_id": "file@pve!f", "token_secret": "filesecret"}
PIN = "AB:" * 31 + "CD"


def problems(options: dict[str, Any], environ: dict[str, str] | None = None, file: Any = None) -> str:
    with pytest.raises(ConnectionOptionError) as caught:
        merge(options, environ or {}, file)
    assert isinstance(caught.value, ValueError)
    for text in caught.value.problems:
        assert not any(secret in text for secret in ("topsecret", "envsecret", "filesecret")), text
        assert text.endswith("."), text
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pve", ("pve", None)),
        ("pve.example:8443", ("pve.example", 8443)),
        ("https://pve.example", ("pve.example", None)),
        ("https://pve.example:443/", ("pve.example", 443)),
        ("HTTPS://pve.example:443/api2/json", ("pve.example", 443)),
        ("192.0.2.1:8006", ("192.0.2.1", 8006)),
        ("2001:db8::1", ("2001:db8::1", None)),
        ("[2001:db8::1]:8006", ("2001:db8::1", 8006)),
        ("https://[2001:db8::1]", ("2001:db8::1", None)),
    ],
)
def test_hosts(text: str, expected: tuple[str, int | None]) -> None:
    assert split_host(text) == expected


@pytest.mark.parametrize("text", ["http://pve", "pve/x", "pve:0", "pve:99999", "a b", "user@pve", "https://"])
def test_what_is_no_host(text: str) -> None:
    assert f"`api_host`={text!r}" in problems({"api_host": text, **TOKEN})


def test_a_literal_address_is_put_in_brackets() -> None:
    connection = from_options({"api_host": "2001:db8::1", **TOKEN})
    assert connection.base_url == "https://[2001:db8::1]:8006/api2/json"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (TOKEN, ("auto@pve", "auto@pve!ci")),
        ({"api_user": "auto@pve", "api_token_id": "ci", "api_token_secret": "x"}, ("auto@pve", "auto@pve!ci")),
        ({"api_user": "auto@pve", "api_token_id": "auto@pve!ci", "api_token_secret": "x"}, ("auto@pve", "auto@pve!ci")),
        (PASSWORD, ("root@pam", None)),
    ],
)
def test_credentials(options: dict[str, str], expected: tuple[str, str | None]) -> None:
    connection = from_options({**HOST, **options})
    assert (connection.user, connection.token_id) == expected
    assert connection.identity == (connection.token_id or connection.user)
    assert (connection.port, connection.timeout, connection.request_timeout) == (8006, 1800, 60)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "credentials are missing"),
        ({"api_token_id": "a@b!c"}, "`api_token_secret` is missing beside `api_token_id`"),
        ({"api_token_secret": "topsecret"}, "`api_token_id` is missing beside `api_token_secret`"),
        ({"api_user": "root@pam"}, "`api_password` is missing beside `api_user`"),
        ({"api_password": "topsecret"}, "`api_user` is missing"),
        ({"api_user": "root", "api_password": "topsecret"}, "`api_user`='root' has no realm. Write user@realm"),
        ({"api_token_id": "ci", "api_token_secret": "topsecret"}, "`api_token_id`='ci' names no user"),
        ({"api_token_id": "ci!x", "api_token_secret": "topsecret"}, "`api_token_id`='ci!x' is not the id"),
        ({**TOKEN, "api_user": "root@pam"}, "belongs to auto@pve, but `api_user`='root@pam'"),
        ({**TOKEN, **PASSWORD}, "both a password (`api_password`) and an API token"),
        ({**TOKEN, "api_port": 0}, "`api_port`=0 is not a port"),
        ({**TOKEN, "api_host": "a:1", "api_port": 2}, "`api_host`='a:1' and `api_port`=2 name two ports"),
        ({**TOKEN, "timeout": -1}, "`timeout`=-1 is not a time"),
        ({**TOKEN, "request_timeout": "soon"}, "`request_timeout`='soon'"),
        ({**TOKEN, "fingerprint": "AB:CD"}, "`fingerprint`='AB:CD' is not a SHA-256 fingerprint"),
        ({**TOKEN, "fingerprint": PIN, "ca_path": "/ca"}, "give one of them"),
        ({**TOKEN, "fingerprint": PIN, "validate_certs": False}, "`validate_certs`=False switches off"),
        ({**TOKEN, "ca_path": "/ca", "validate_certs": "no"}, "`validate_certs`='no' switches off"),
        ({**TOKEN, "validate_certs": "perhaps"}, "`validate_certs`='perhaps' is neither"),
    ],
)
def test_problems_name_option_value_and_remedy(options: dict[str, Any], expected: str) -> None:
    assert expected in problems({**HOST, **options})


def test_all_problems_come_at_once() -> None:
    text = problems({"api_token_id": "ci", "api_port": "x", "timeout": 0, "fingerprint": "zz"})
    for option in ("api_host", "api_token_secret", "api_token_id", "timeout", "fingerprint"):
        assert f"`{option}`" in text


def test_options_before_environment_before_file() -> None:
    environ = {"PROXMOX_HOST": "env", "PROXMOX_PORT": "1", **ENV_TOKEN}
    file = {"host": "file", "port": 2, "timeout": 60, **FILE_TOKEN}
    assert merge({}, {}, file) == Connection(
        "file", 2, "file@pve", "file@pve!f", "filesecret", timeout=60, request_timeout=60
    )
    assert merge({}, environ, file).host == "env"
    assert merge({}, environ, file).token_id == "env@pve!e"
    merged = merge({**HOST, **TOKEN, "api_port": 3, "timeout": 30}, environ, file)
    assert (merged.host, merged.port, merged.token_secret) == ("pve.example", 3, "topsecret")
    assert (merged.timeout, merged.request_timeout) == (30, 30)


def test_a_port_written_with_the_host_belongs_to_it() -> None:
    assert merge({"api_host": "a:1", **TOKEN}, {"PROXMOX_PORT": "2"}, None).port == 1


def test_empty_strings_are_not_given() -> None:
    assert merge({"api_host": "", "api_user": "", **TOKEN}, {"PROXMOX_HOST": "env"}, {}).host == "env"


def test_a_password_of_one_source_does_not_meet_the_token_of_another() -> None:
    merged = merge({**HOST, **PASSWORD}, ENV_TOKEN, FILE_TOKEN)
    assert (merged.token_id, merged.token_secret, merged.user) == (None, None, "root@pam")


@pytest.mark.parametrize(
    ("options", "environ", "file", "expected"),
    [
        (
            {"api_token_id": "a@b!c"},
            {"PROXMOX_TOKEN_SECRET": "envsecret"},
            {},
            "`api_token_id` from the module options and `PROXMOX_TOKEN_SECRET` from the environment are not mixed",
        ),
        (
            {"api_user": "root@pam"},
            {},
            {"password": "filesecret"},
            "key `password` of the connection file from the connection file are not mixed",
        ),
        ({}, {"PROXMOX_USER": "root@pam"}, FILE_TOKEN, "`PROXMOX_PASSWORD` is missing"),
    ],
)
def test_credentials_are_not_mixed(
    options: dict[str, Any], environ: dict[str, str], file: dict[str, Any], expected: str
) -> None:
    assert expected in problems({**HOST, **options}, environ, file)


@pytest.mark.parametrize(
    ("options", "environ", "file", "expected"),
    [
        ({}, {}, {}, (True, None, None)),
        ({"validate_certs": False}, {}, {}, (False, None, None)),
        ({}, {"PROXMOX_VALIDATE_CERTS": "false"}, {}, (False, None, None)),
        ({"validate_certs": True}, {"PROXMOX_VALIDATE_CERTS": "no"}, {}, (True, None, None)),
        ({"validate_certs": True}, {"PROXMOX_CA_PATH": "/ca"}, {}, (True, "/ca", None)),
        ({"ca_path": "/ca"}, {"PROXMOX_FINGERPRINT": PIN}, {"validate_certs": False}, (True, "/ca", None)),
        ({}, {"PROXMOX_FINGERPRINT": PIN.lower().replace(":", "")}, {"ca_path": "/ca"}, (True, None, PIN)),
        ({"validate_certs": False}, {"PROXMOX_CA_PATH": "/ca"}, {}, (False, None, None)),
    ],
)
def test_the_first_source_that_says_how_to_trust_decides(
    options: dict[str, Any], environ: dict[str, str], file: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    merged = merge({**HOST, **TOKEN, **options}, environ, file)
    assert (merged.validate_certs, merged.ca_path, merged.fingerprint) == expected


def test_secrets_do_not_show() -> None:
    shown = repr(from_options({**HOST, **TOKEN})) + repr(from_options({**HOST, **PASSWORD}))
    assert "topsecret" not in shown


# --- the connection file ---


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "host: pve\ntoken_id: a@b!c\ntoken_secret: s\nvalidate_certs: false\n",
        '{"host": "pve", "token_id": "a@b!c", "token_secret": "s", "validate_certs": false}',
    ],
)
def test_a_file_is_yaml_or_json(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "c", text)
    expected = Connection("pve", 8006, "a@b", "a@b!c", "s", validate_certs=False)
    assert connection_from({"connection_file": str(path)}, {}) == expected
    assert connection_from({}, {"PROXMOX_CONNECTION_FILE": str(path)}) == expected


@pytest.mark.parametrize(
    ("text", "mode", "expected"),
    [
        ("host: pve", 0o640, "chmod 600"),
        ("host: pve", 0o604, "mode 0604"),
        ("hots: pve", 0o600, "unknown key 'hots'. Did you mean `host`?"),
        ("wibble: 1", 0o600, "Known keys: host"),
        ("host: [a]", 0o600, "`host` is not a single value"),
        ("- host", 0o600, "holds no mapping"),
        ("password: {topsecret", 0o600, "neither JSON nor YAML at line"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str, mode: int, expected: str) -> None:
    path = write(tmp_path / "c", text, mode)
    with pytest.raises(ConnectionOptionError) as caught:
        load_connection_file(path)
    message = str(caught.value)
    assert expected in message
    assert f"`connection_file`={str(path)!r}" in message
    assert "topsecret" not in message


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConnectionOptionError, match="cannot be read: No such file"):
        load_connection_file(tmp_path / "nothing")
