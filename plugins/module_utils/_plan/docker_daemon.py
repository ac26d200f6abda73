# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's daemon.json is to hold: what is declared, laid over what others wrote there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Belongs together: options of one log driver say nothing to another.
_WHOLE = frozenset({"log-opts"})
_FILE_DRIVERS = ("local", "json-file")


def wanted_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the role's options ask for; C(daemon_settings) go over them, and nothing leaves one out."""
    settings: dict[str, Any] = {
        "log-driver": options["log_driver"],
        "live-restore": options["live_restore"],
        "default-address-pools": [
            {"base": pool.get("base"), "size": pool.get("size")} for pool in options["address_pools"]
        ],
        "default-ulimits": {
            name: {"Name": name, "Hard": limit.get("hard"), "Soft": limit.get("soft")}
            for name, limit in options["default_ulimits"].items()
        },
        "registry-mirrors": list(options["registry_mirrors"]),
    }
    if options["log_driver"] in _FILE_DRIVERS:
        settings["log-opts"] = {"max-size": options["log_max_size"], "max-file": str(options["log_max_files"])}
    own: Mapping[str, Any] = options["daemon_settings"]
    if own.get("log-driver", options["log_driver"]) != options["log_driver"]:
        settings.pop("log-opts", None)
    settings = _laid_over(settings, own)
    return {name: value for name, value in settings.items() if value not in (None, [], {})}


def merged(existing: Mapping[str, Any], former: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """C(existing) without what a former run wrote and nobody changed since, and C(wanted) laid over that."""
    return _laid_over(_without(existing, former), wanted)


def remembered(former: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What may be ours while a run is on its way: it may end before or after daemon.json was replaced."""
    return _laid_over(former, wanted)


def _laid_over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(lower)
    for name, value in upper.items():
        below = result.get(name)
        if name not in _WHOLE and isinstance(value, Mapping) and isinstance(below, Mapping):
            result[name] = _laid_over(below, value)
        else:
            result[name] = value
    return result


def _without(existing: Mapping[str, Any], former: Mapping[str, Any]) -> dict[str, Any]:
    result = {}
    for name, value in existing.items():
        if name in former and value == former[name]:
            continue
        if isinstance(value, Mapping) and isinstance(former.get(name), Mapping):
            rest = _without(value, former[name])
            if rest:
                result[name] = rest
            continue
        result[name] = value
    return result


def effects(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What C(docker info) has to say once a daemon runs with the settings."""
    told: dict[str, Any] = {}
    if "log-driver" in settings:
        told["LoggingDriver"] = settings["log-driver"]
    if "live-restore" in settings:
        told["LiveRestoreEnabled"] = settings["live-restore"]
    if "default-address-pools" in settings:
        told["DefaultAddressPools"] = [
            {"Base": pool["base"], "Size": pool["size"]} for pool in settings["default-address-pools"]
        ]
    if "data-root" in settings:
        told["DockerRootDir"] = settings["data-root"]
    return told
