# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pruning takes and what it spares: the decisions of roles/docker/files/prune.py, on what docker inspect tells."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILE = Path(__file__).resolve().parents[3] / "roles" / "docker" / "files" / "prune.py"
OLD, NEW = "2026-11-01T00:00:00.123456789Z", "2026-11-28T00:00:00Z"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prune", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


prune = load()
BEFORE = prune.moment("2026-11-20T00:00:00Z")
KEEP = [label.partition("=") for label in ("homelab.keep", "tier=prod")]


def container(
    status: str = "exited", *, created: str = OLD, finished: str = OLD, labels: Any = None, networks: Any = None
) -> dict[str, Any]:
    return {
        "Id": "c",
        "Image": "sha256:used",
        "Created": created,
        "State": {"Status": status, "FinishedAt": finished},
        "Config": {"Labels": labels},
        "NetworkSettings": {"Networks": networks or {}},
    }


@pytest.mark.parametrize(
    ("found", "goes"),
    [
        (container(), True),
        (container("running"), False),
        (container("paused"), False),
        (container("created", finished="0001-01-01T00:00:00Z"), True),
        (container("created", created=NEW, finished="0001-01-01T00:00:00Z"), False),
        (container(finished=NEW), False),
        (container(labels={"homelab.keep": ""}), False),
        (container(labels={"tier": "prod"}), False),
        (container(labels={"tier": "test", "other": "x"}), True),
    ],
)
def test_containers_that_ended_long_ago_go_unless_one_label_keeps_them(found, goes):
    assert bool(prune.old_containers([found], KEEP, BEFORE)) == goes


def image(**changes: Any) -> dict[str, Any]:
    return {"Id": "sha256:unused", "Created": OLD, "RepoTags": ["a:1"], "Config": {"Labels": None}, **changes}


@pytest.mark.parametrize(
    ("found", "dangling", "goes"),
    [
        (image(), False, True),
        (image(), True, False),
        (image(RepoTags=[]), True, True),
        (image(Id="sha256:used"), False, False),
        (image(Created=NEW), False, False),
        (image(Config={"Labels": {"homelab.keep": "1"}}), False, False),
        (image(Config=None), False, True),
    ],
)
def test_images_that_no_container_has_go(found, dangling, goes):
    # A container that stopped has its image too.
    assert bool(prune.old_images([found], [container()], KEEP, BEFORE, dangling)) == goes


def network(**changes: Any) -> dict[str, Any]:
    return {"Id": "n1", "Name": "wiki_default", "Created": OLD, "Labels": {}, "Containers": {}, **changes}


@pytest.mark.parametrize(
    ("found", "goes"),
    [
        (network(), True),
        (network(Name="bridge"), False),
        (network(Id="n0"), False),
        (network(Name="by_name"), False),
        (network(Containers={"c": {}}), False),
        (network(Ingress=True), False),
        (network(Created=NEW), False),
        # Some versions write the moment as Go prints it.
        (network(Created="2026-11-01 00:00:00.5 +0000 UTC"), True),
    ],
)
def test_networks_of_stopped_containers_stay(found, goes):
    stopped = container(networks={"by_id": {"NetworkID": "n0"}, "by_name": {"NetworkID": ""}})
    assert bool(prune.old_networks([found], [stopped], KEEP, BEFORE)) == goes


def test_ages_are_read_with_their_units():
    assert [prune.seconds(age) for age in ("90m", "168h", "7d", "0h")] == [5400, 604800, 604800, 0]
    with pytest.raises(argparse.ArgumentTypeError, match="168h"):
        prune.seconds("a week")
