# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the Proxmox API is, who we are and what we trust: merged from options, environment and a connection file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .connection_file import ConnectionOptionError, load_connection_file

__all__ = ["Connection", "ConnectionOptionError", "connection_from", "from_options", "load_connection_file", "merge"]

DEFAULT_PORT = 8006
DEFAULT_TIMEOUT = 1800.0
DEFAULT_REQUEST_TIMEOUT = 60.0

# Field of a layer: (option of the modules, environment variable, key of the connection file). The variables are those
# of community.proxmox where it has one (PROXMOX_VALIDATE_CERTS: its early releases).
_NAMES: Mapping[str, tuple[str, str | None, str | None]] = {
    "host": ("api_host", "PROXMOX_HOST", "host"),
    "port": ("api_port", "PROXMOX_PORT", "port"),
    "user": ("api_user", "PROXMOX_USER", "user"),
    "password": ("api_password", "PROXMOX_PASSWORD", "password"),
    "token_id": ("api_token_id", "PROXMOX_TOKEN_ID", "token_id"),
    "token_secret": ("api_token_secret", "PROXMOX_TOKEN_SECRET", "token_secret"),
    "validate_certs": ("validate_certs", "PROXMOX_VALIDATE_CERTS", "validate_certs"),
    "ca_path": ("ca_path", "PROXMOX_CA_PATH", "ca_path"),
    "fingerprint": ("fingerprint", "PROXMOX_FINGERPRINT", "fingerprint"),
    "timeout": ("timeout", None, "timeout"),
    "request_timeout": ("request_timeout", None, None),
}
_CREDENTIALS = ("user", "password", "token_id", "token_secret")
_SECRETS = frozenset({"password", "token_secret"})


@dataclass(frozen=True, slots=True)
class Connection:
    """Everything needed to talk to one Proxmox VE API.

    Either C(token_id) (C(user@realm!name)) with C(token_secret), or C(user) (C(user@realm)) with C(password).
    C(timeout) is the deadline of the whole run, C(request_timeout) that of one request, both in seconds.
    C(fingerprint) is the SHA-256 of the server's certificate, upper case with colons.
    """

    host: str
    port: int = DEFAULT_PORT
    user: str = ""
    token_id: str | None = None
    token_secret: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    validate_certs: bool = True
    ca_path: str | None = None
    fingerprint: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    request_timeout: float = DEFAULT_REQUEST_TIMEOUT

    @property
    def identity(self) -> str:
        """The user as Proxmox writes it into UPIDs."""
        return self.token_id or self.user

    @property
    def token_name(self) -> str | None:
        """The part of the token's id after the C(!)."""
        return self.token_id.partition("!")[2] if self.token_id else None

    @property
    def base_url(self) -> str:
        """With a literal IPv6 address in brackets, as URLs want it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}/api2/json"


@dataclass(frozen=True, slots=True)
class _Layer:
    """Values of one source, and what its fields are called there."""

    label: str
    values: Mapping[str, Any]
    name_of: Callable[[str], str]

    def given(self, *names: str) -> list[str]:
        return [name for name in names if self.values.get(name) is not None]

    def show(self, name: str) -> str:
        value = "<hidden>" if name in _SECRETS else repr(self.values[name])
        return f"{self.name_of(name)}={value}"


def from_options(options: Mapping[str, Any]) -> Connection:
    """The connection that the module options alone describe. Raises ConnectionOptionError."""
    return merge(options, {}, None)


def connection_from(options: Mapping[str, Any], environ: Mapping[str, str]) -> Connection:
    """Like merge, but reads the connection file that options or environment name. Raises ConnectionOptionError."""
    path = options.get("connection_file") or environ.get("PROXMOX_CONNECTION_FILE")
    return merge(options, environ, load_connection_file(Path(path).expanduser()) if path else None)


def merge(options: Mapping[str, Any], environ: Mapping[str, str], file: Mapping[str, Any] | None) -> Connection:
    """Options before environment before file; credentials come from one of them as a whole.

    Empty strings count as not given. Raises ConnectionOptionError with every problem at once.
    """
    layers = (
        _layer("the module options", options, 0, lambda name: f"`{_NAMES[name][0]}`"),
        _layer("the environment", environ, 1, lambda name: f"`{_NAMES[name][1]}`"),
        _layer("the connection file", file or {}, 2, lambda name: f"key `{_NAMES[name][2]}` of the connection file"),
    )
    problems: list[str] = []
    host, port = _address(layers, problems)
    credentials = _credentials(layers, problems)
    trust = _trust(layers, problems)
    timeout = _seconds(layers, "timeout", DEFAULT_TIMEOUT, problems)
    request_timeout = _seconds(layers, "request_timeout", DEFAULT_REQUEST_TIMEOUT, problems)
    if problems:
        raise ConnectionOptionError(tuple(problems))
    return Connection(
        host=host, port=port, **credentials, **trust, timeout=timeout, request_timeout=min(request_timeout, timeout)
    )


def _layer(label: str, source: Mapping[str, Any], column: int, name_of: Callable[[str], str]) -> _Layer:
    values: dict[str, Any] = {}
    for name, names in _NAMES.items():
        key = names[column]
        value = source.get(key) if key else None
        if value is not None and value != "":
            values[name] = value
    return _Layer(label, values, name_of)


def _first(layers: tuple[_Layer, ...], name: str) -> _Layer | None:
    return next((layer for layer in layers if layer.given(name)), None)


def _address(layers: tuple[_Layer, ...], problems: list[str]) -> tuple[str, int]:
    layer = _first(layers, "host")
    if layer is None:
        problems.append("`api_host` is missing: set it, or PROXMOX_HOST, or `host` in a connection file.")
        return "", DEFAULT_PORT
    try:
        host, own_port = split_host(str(layer.values["host"]))
    except ValueError as exc:
        problems.append(f"{layer.show('host')}: {exc}. Give a host, host:port or https://host:port.")
        return "", DEFAULT_PORT
    port_layer = _first(layers, "port")
    if port_layer is None:
        return host, own_port or DEFAULT_PORT
    port = _port(port_layer.values["port"])
    if port is None:
        problems.append(f"{port_layer.show('port')} is not a port. Give a number from 1 to 65535.")
        return host, DEFAULT_PORT
    if own_port is not None and own_port != port:
        # A port that was written together with the host belongs to it; only the same source can contradict itself.
        if port_layer is layer:
            problems.append(f"{layer.show('host')} and {layer.show('port')} name two ports. Remove one of them.")
        return host, own_port
    return host, port


def split_host(text: str) -> tuple[str, int | None]:
    """Host without brackets, and the port if C(text) names one. Raises ValueError for anything that is no address."""
    rest = text.strip()
    scheme, separator, tail = rest.partition("://")
    if separator:
        if scheme.lower() != "https":
            raise ValueError(f"Proxmox VE speaks https, not {scheme}")
        rest = tail
    rest = re.sub(r"(/api2/json)?/*$", "", rest)
    if rest.count(":") > 1 and not rest.startswith("["):
        rest = f"[{rest}]"
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([A-Za-z0-9._-]+))(?::(\d+))?", rest)
    if match is None:
        raise ValueError("not a host name or address")
    port = _port(match[3]) if match[3] else None
    if match[3] and port is None:
        raise ValueError(f"{match[3]} is not a port")
    return match[1] or match[2], port


def _port(value: Any) -> int | None:
    try:
        port = int(value)
    except (TypeError, ValueError):
        return None
    return port if 0 < port < 65536 else None


def _credentials(layers: tuple[_Layer, ...], problems: list[str]) -> dict[str, Any]:
    nothing: dict[str, Any] = {"user": "", "token_id": None, "token_secret": None, "password": None}
    layer = next((layer for layer in layers if layer.given(*_CREDENTIALS)), None)
    if layer is None:
        problems.append(
            "credentials are missing: set `api_token_id` (user@realm!name) and `api_token_secret`, or `api_user` and"
            " `api_password`, or the PROXMOX_* environment variables, or a `connection_file`."
        )
        return nothing
    found = len(problems)
    given = {name: str(layer.values[name]) for name in layer.given(*_CREDENTIALS)}
    if "password" in given and ("token_id" in given or "token_secret" in given):
        problems.append(
            f"{layer.label} give both a password ({layer.name_of('password')}) and an API token. Remove one of them."
        )
        return nothing
    is_token = "token_id" in given or "token_secret" in given
    for name in ("token_id", "token_secret") if is_token else ("user", "password"):
        if name not in given:
            problems.append(_incomplete(layers, layer, name))
    if "token_id" in given:
        _complete_token(layer, given, problems)
    user = given.get("user", "")
    if user and "@" not in user:
        problems.append(f"{layer.show('user')} has no realm. Write user@realm, for example root@pam.")
    return nothing if len(problems) > found else {**nothing, **given}


def _incomplete(layers: tuple[_Layer, ...], layer: _Layer, name: str) -> str:
    present = ", ".join(layer.name_of(other) for other in layer.given(*_CREDENTIALS))
    other = next((other for other in layers if other is not layer and other.given(name)), None)
    if other is None:
        return f"{layer.name_of(name)} is missing beside {present}. Set it."
    return (
        f"{present} from {layer.label} and {other.name_of(name)} from {other.label} are not mixed: credentials are"
        f" taken from one place. Set {layer.name_of(name)} too, or remove {present}."
    )


def _complete_token(layer: _Layer, given: dict[str, str], problems: list[str]) -> None:
    """Accepts C(user@realm!name), and C(name) beside the user, as community.proxmox writes it."""
    token, user = given["token_id"], given.get("user")
    owner, separator, name = token.rpartition("!")
    if not separator:
        if user is None:
            problems.append(f"{layer.show('token_id')} names no user. Write user@realm!{token}.")
            return
        owner, name = user, token
    elif user is not None and user != owner:
        problems.append(f"{layer.show('token_id')} belongs to {owner}, but {layer.show('user')}. Remove the user.")
        return
    if not name or "@" not in owner:
        problems.append(f"{layer.show('token_id')} is not the id of an API token. Write user@realm!name.")
        return
    given["user"], given["token_id"] = owner, f"{owner}!{name}"


def _trust(layers: tuple[_Layer, ...], problems: list[str]) -> dict[str, Any]:
    """The first source that says how to trust decides; an explicit C(validate_certs=true) only overrules a false."""
    verified: dict[str, Any] = {"validate_certs": True, "ca_path": None, "fingerprint": None}
    insist = False
    for layer in layers:
        validate = _boolean(layer, problems)
        pins = layer.given("ca_path", "fingerprint")
        if len(pins) == 2:
            problems.append(f"{layer.show('ca_path')} and {layer.show('fingerprint')}: give one of them, not both.")
            return verified
        if pins and validate is False:
            problems.append(
                f"{layer.show('validate_certs')} switches off what {layer.show(pins[0])} asks for. Remove one of them."
            )
            return verified
        if pins:
            return {**verified, pins[0]: _pin(layer, pins[0], problems)}
        if validate is False and not insist:
            return {**verified, "validate_certs": False}
        insist = insist or validate is True
    return verified


def _pin(layer: _Layer, name: str, problems: list[str]) -> str:
    value = str(layer.values[name])
    if name == "ca_path":
        path = Path(value).expanduser()
        return str(path)
    digits = re.sub(r"[\s:]", "", value).upper()
    if not re.fullmatch(r"[0-9A-F]{64}", digits):
        problems.append(
            f"{layer.show(name)} is not a SHA-256 fingerprint. Give 32 pairs of hexadecimal digits, as the node's page"
            " System > Certificates and `pvenode cert info` show them."
        )
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))


def _boolean(layer: _Layer, problems: list[str]) -> bool | None:
    value = layer.values.get("validate_certs")
    if value is None or isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in ("1", "true", "yes", "on", "y", "t"):
        return True
    if text in ("0", "false", "no", "off", "n", "f"):
        return False
    problems.append(f"{layer.show('validate_certs')} is neither true nor false. Write true or false.")
    return None


def _seconds(layers: tuple[_Layer, ...], name: str, default: float, problems: list[str]) -> float:
    layer = _first(layers, name)
    if layer is None:
        return default
    try:
        seconds = float(layer.values[name])
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        problems.append(f"{layer.show(name)} is not a time. Give a number of seconds above 0.")
        return default
    return seconds
