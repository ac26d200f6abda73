# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Docker daemon would only say when it fails to start, or never: our own rules for daemon.json.

C(dockerd --validate) finds unknown keys and wrong types. It lets pass (26.1.5, tried) unknown options of log drivers,
pools larger than their base, unknown drivers, soft limits over hard ones, and it knows nothing of the host's routes.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .plan import Refusal

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

_OWN_BRIDGE = re.compile(r"docker0|docker_gwbridge|br-[0-9a-f]{12}|veth[0-9a-f]+")
_SIZE = re.compile(r"[1-9][0-9]*[kmg]b?", re.IGNORECASE)
# Options of all log drivers, and those of the drivers that Docker brings (moby, daemon/logger/*).
_COMMON = frozenset(["mode", "max-buffer-size", "cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"])
_LABELS = "labels labels-regex env env-regex tag"
_LOG_OPTIONS = {
    "none": "",
    "local": "max-size max-file compress",
    "json-file": f"max-size max-file compress {_LABELS}",
    "journald": _LABELS,
    "syslog": f"{_LABELS} syslog-address syslog-facility syslog-tls-ca-cert syslog-tls-cert syslog-tls-key "
    "syslog-tls-skip-verify syslog-format",
    "gelf": f"{_LABELS} gelf-address gelf-compression-level gelf-compression-type gelf-tcp-max-reconnect "
    "gelf-tcp-reconnect-delay",
    "fluentd": f"{_LABELS} fluentd-address fluentd-async fluentd-async-connect fluentd-async-reconnect-interval "
    "fluentd-buffer-limit fluentd-retry-wait fluentd-max-retries fluentd-request-ack fluentd-sub-second-precision "
    "fluentd-write-timeout",
}
_ULIMITS = frozenset(
    {
        *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc"),
        *("rss", "rtprio", "rttime", "sigpending", "stack"),
    }
)
# Key -> the first version of Docker that knows it (moby, release notes).
_SINCE = {"firewall-backend": 29, "min-api-version": 25, "default-network-opts": 24, "proxies": 23}
# Key -> the first version that does not any more.
_GONE = {"graph": 23, "cluster-store": 23, "cluster-advertise": 23, "cluster-store-opts": 23}
# The unit of the packages already says -H fd://, and systemd owns the rest.
_FLAGS = {
    "hosts": "the unit of the packages passes -H, and both together keep the daemon from starting",
    "pidfile": "it is the unit's",
    "containerd": "the unit of the packages passes --containerd, and both together keep the daemon from starting",
}
_VARIABLES = {
    "log-driver": "docker_log_driver",
    "log-opts": "docker_log_max_size and docker_log_max_files",
    "live-restore": "docker_live_restore",
    "default-address-pools": "docker_address_pools",
    "default-ulimits": "docker_default_ulimits",
    "registry-mirrors": "docker_registry_mirrors",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a daemon.json is checked against. C(version) is that of the installed daemon, empty where there is none.

    C(limits) are the hard limits that cannot be raised on this host, by their names.
    """

    routes: Sequence[Mapping[str, Any]] = ()
    reserved: Sequence[str] = ()
    version: str = ""
    swarm: bool = False
    limits: Mapping[str, int] = field(default_factory=dict)


def refusals(settings: Mapping[str, Any], ground: Ground) -> tuple[Refusal, ...]:
    """All there is against the settings."""
    return tuple(problem for rule in _RULES for problem in rule(settings, ground))


def _refuse(key: str, value: object, reason: str, remedy: str) -> Refusal:
    variable = _VARIABLES.get(key.partition(".")[0].partition("[")[0])
    return Refusal(
        subject="daemon.json",
        option=f"{key} ({variable})" if variable else key,
        value=value,
        reason=reason,
        remedy=remedy,
    )


def _flags(settings: Mapping[str, Any], _ground: Ground) -> Iterator[Refusal]:
    for key, reason in _FLAGS.items():
        if key in settings:
            yield _refuse(key, settings[key], reason, "Leave it out, or give the unit a drop-in of your own")


def _versions(settings: Mapping[str, Any], ground: Ground) -> Iterator[Refusal]:
    found = re.match(r"\d+", ground.version)
    if not found:
        return
    major = int(found[0])
    for key, first in _SINCE.items():
        if key in settings and major < first:
            reason = f"Docker {ground.version} does not know this key"
            yield _refuse(key, settings[key], reason, f"It needs Docker {first} or newer")
    for key, last in _GONE.items():
        if key in settings and major >= last:
            reason = f"Docker {ground.version} does not know this key any more"
            yield _refuse(key, settings[key], reason, f"It went with Docker {last}; leave it out")


def _logs(settings: Mapping[str, Any], _ground: Ground) -> Iterator[Refusal]:
    driver = settings.get("log-driver", "json-file")
    options = settings.get("log-opts", {})
    if not isinstance(options, Mapping) or driver not in _LOG_OPTIONS:
        return
    known = _COMMON | set(_LOG_OPTIONS[driver].split())
    for name, value in options.items():
        key = f"log-opts.{name}"
        if name not in known:
            remedy = f"It knows {', '.join(sorted(known - _COMMON)) or 'none'}"
            yield _refuse(key, value, f"the log driver {driver} has no such option", remedy)
        elif not isinstance(value, str):
            yield _refuse(key, value, "Docker takes options of log drivers as strings only", f'Write "{value}"')
        elif name == "max-size" and not (_SIZE.fullmatch(value) or value == "-1"):
            yield _refuse(key, value, "this is no size", 'Write a number with k, m or g, such as "10m"')
        elif name == "max-file" and not (value.isdecimal() and int(value) >= 1):
            yield _refuse(key, value, "this is no number of files", 'Write "1" or more')
    if options.get("max-file") == "1" and options.get("compress") == "true":
        reason = "with a single file there is none to compress, and the daemon refuses the pair"
        yield _refuse("log-opts.compress", "true", reason, 'Keep two files or more, or leave "compress" out')


def _pools(settings: Mapping[str, Any], ground: Ground) -> Iterator[Refusal]:
    pools = settings.get("default-address-pools", [])
    taken: list[tuple[str, Network]] = [
        *(("reserved by docker_reserved_networks", net) for net in map(_network, ground.reserved) if net),
        *_routes(ground),
    ]
    for number, pool in enumerate(pools if isinstance(pools, list) else []):
        key = f"default-address-pools[{number}]"
        base, size = (pool.get("base"), pool.get("size")) if isinstance(pool, Mapping) else (None, None)
        network = _network(base)
        if network is None:
            reason = "this is no network; its host bits have to be zero"
            yield _refuse(f"{key}.base", base, reason, "Write one such as 10.201.0.0/16")
            continue
        limit = network.max_prefixlen - 2
        if not isinstance(size, int) or not network.prefixlen <= size <= limit:
            reason = f"networks of this size do not fit into {network}"
            yield _refuse(f"{key}.size", size, reason, f"Choose {network.prefixlen} to {limit}")
        for whose, other in taken:
            if network.version == other.version and network.overlaps(other):
                reason = f"{other} is {whose}"
                yield _refuse(f"{key}.base", base, reason, f"Choose a network that is free{_suggestion(taken)}")
        taken.append((f"in default-address-pools[{number}] already", network))


def _routes(ground: Ground) -> Iterator[tuple[str, Network]]:
    """Where the host's packets go already. Docker's own bridges are no conflict: it made them from its pools."""
    for route in ground.routes:
        device = str(route.get("dev", ""))
        network = _network(route.get("dst"), strict=False)
        if network is None or _OWN_BRIDGE.fullmatch(device) or network.prefixlen == 0:
            continue
        if network.is_link_local or network.is_multicast:
            continue
        yield f"reached through {device or 'a route of this host'} already", network


def _suggestion(taken: Sequence[tuple[str, Network]]) -> str:
    for candidate in ipaddress.ip_network("10.192.0.0/12").subnets(new_prefix=16):
        if not any(net.version == 4 and candidate.overlaps(net) for _whose, net in taken):
            return f", such as {candidate}"
    return ""


def _network(text: object, *, strict: bool = True) -> Network | None:
    try:
        return ipaddress.ip_network(str(text), strict=strict)
    except ValueError:
        return None


def _bridge(settings: Mapping[str, Any], _ground: Ground) -> Iterator[Refusal]:
    if (bip := settings.get("bip")) is None:
        return
    try:
        ipaddress.ip_interface(str(bip))
    except ValueError:
        yield _refuse("bip", bip, "this is no address with a prefix", "Write one such as 10.201.0.1/24")
        return
    if "/" not in str(bip):
        yield _refuse("bip", bip, "it lacks the length of the prefix", f"Write {bip}/24")


def _limits(settings: Mapping[str, Any], ground: Ground) -> Iterator[Refusal]:
    limits = settings.get("default-ulimits", {})
    for name, limit in limits.items() if isinstance(limits, Mapping) else ():
        key = f"default-ulimits.{name}"
        if name not in _ULIMITS:
            yield _refuse(key, limit, "there is no such limit", f"There are {', '.join(sorted(_ULIMITS))}")
            continue
        hard, soft = limit.get("Hard"), limit.get("Soft")
        if not isinstance(hard, int) or not isinstance(soft, int):
            yield _refuse(key, limit, "both limits have to be numbers", "Give soft and hard")
        elif hard >= 0 and not 0 <= soft <= hard:
            yield _refuse(key, limit, f"the soft limit {soft} is over the hard one {hard}", "Raise hard, or lower soft")
        elif name in ground.limits and not 0 <= hard <= ground.limits[name]:
            most = ground.limits[name]
            reason = f"no container would start: nothing here may raise it over {most}, this host is a container itself"
            yield _refuse(key, limit, reason, f"Set hard to {most} or less, or raise the limit of the host's container")


def _swarm(settings: Mapping[str, Any], ground: Ground) -> Iterator[Refusal]:
    if ground.swarm and settings.get("live-restore"):
        reason = "this host is in a swarm, where the daemon does not start with it"
        yield _refuse("live-restore", True, reason, "Set docker_live_restore: false here")


_RULES: tuple[Callable[[Mapping[str, Any], Ground], Iterator[Refusal]], ...] = (
    _flags,
    _versions,
    _logs,
    _pools,
    _bridge,
    _limits,
    _swarm,
)
