# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module cloud_image_info through a real AnsibleModule, and its documentation."""

from __future__ import annotations

import datetime
import json

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible import catalog_door
from ansible_collections.homelab.proxmox.plugins.module_utils._images.catalog import load_catalog, schema
from ansible_collections.homelab.proxmox.plugins.modules import cloud_image_info

TODAY = datetime.date(2026, 11, 23)


def _run(capsys, **options):
    check = options.pop("check", False)
    with patch_module_args({**options, "_ansible_check_mode": check}), pytest.raises(SystemExit) as stop:
        cloud_image_info.main()
    return stop.value.code, json.loads(capsys.readouterr().out)


def _ids(capsys, **options):
    code, result = _run(capsys, **options)
    assert code == 0, result
    assert result["changed"] is False
    return [image["id"] for image in result["images"]]


@pytest.mark.parametrize("check", [False, True])
def test_everything_is_listed(capsys, check):
    assert _ids(capsys, check=check) == list(load_catalog().ids())


def test_ids_and_aliases_in_the_order_asked(capsys):
    assert _ids(capsys, ids=["rocky-9", "debian-trixie", "debian-13"]) == ["rocky-9", "debian-13"]


def test_no_ids_are_no_images(capsys):
    assert _ids(capsys, ids=[]) == []


@pytest.mark.parametrize(
    ("options", "some", "none"),
    [
        ({"family": "ubuntu"}, "ubuntu-24.04", "debian-13"),
        ({"os_family": "rhel"}, "rocky-9", "fedora-44-cloud"),
        ({"cloud_init": "none"}, "debian-13-nocloud", "debian-13"),
        ({"cloud_init": "partial"}, "freebsd-15.1-ufs", "debian-13"),
        ({"arch": "aarch64"}, "debian-13", "almalinux-10-x86_64-v2"),
        ({"lifecycle": "eol"}, "debian-11", "archlinux-cloudimg"),
        ({"lifecycle": "preview"}, "fedora-45-beta-cloud", "fedora-44-cloud"),
        ({"lifecycle": "supported"}, "archlinux-cloudimg", "debian-11"),
        ({"os_family": "debian", "lifecycle": "eol"}, "ubuntu-20.04", "centos-7"),
    ],
)
def test_filters(capsys, options, some, none):
    ids = _ids(capsys, **options)
    assert some in ids
    assert none not in ids


def test_the_state_is_that_of_the_day():
    params = dict.fromkeys(("family", "os_family", "cloud_init", "lifecycle")) | {"arch": "x86_64", "catalog_files": []}
    (before,) = catalog_door.select({**params, "ids": ["debian-13"]}, TODAY)
    (after,) = catalog_door.select({**params, "ids": ["debian-13"]}, datetime.date(2028, 8, 10))
    assert (before["lifecycle"]["state"], after["lifecycle"]["state"]) == ("supported", "eol")
    assert before["problems"] == {"image": [], "template": []}
    assert "allow_eol: true" in after["problems"]["template"][0]


def test_an_unknown_id_fails_with_a_suggestion(capsys):
    code, result = _run(capsys, ids=["debain-13"])
    assert code == 1
    assert result["msg"].startswith("image: 'debain-13' is not in the catalogue; did you mean debian-13")
    assert result["problems"] == [result["msg"]]


def test_an_unknown_family_fails_with_the_known_ones(capsys):
    code, result = _run(capsys, family="debain")
    assert code == 1
    assert result["msg"].startswith("family: 'debain' has no image; known are almalinux, alpine, ")


def test_own_files_are_laid_over_and_all_their_problems_told(capsys, tmp_path):
    path = tmp_path / "own.yml"
    own = {"id": "own-1", "name": "x", "family": "own", "os_family": "other", "release": "1"}
    own["architectures"] = {"x86_64": {"url": "https://images.example.org/x.qcow2", "digest": "sha256:" + "0" * 64}}
    path.write_text(yaml.safe_dump({"schema_version": 1, "images": [own]}))
    assert _ids(capsys, catalog_files=[str(path)], family="own") == ["own-1"]
    path.write_text(yaml.safe_dump({"schema_version": 1, "images": [{**own, "release": 1, "ostype": "w95"}]}))
    code, result = _run(capsys, catalog_files=[str(path)])
    assert code == 1
    assert len(result["problems"]) == 2
    assert all(line.startswith(f"{path}: own-1: ") for line in result["problems"])


def test_the_documentation_matches_the_module():
    told = yaml.safe_load(cloud_image_info.DOCUMENTATION)["options"]
    spec = catalog_door.ARGUMENT_SPEC
    keys = ("type", "elements", "choices", "default")
    assert {name: {k: option[k] for k in keys if k in option} for name, option in told.items()} == spec
    assert spec["os_family"]["choices"] == schema()["$defs"]["image"]["properties"]["os_family"]["enum"]


def test_every_returned_key_is_documented():
    contains = yaml.safe_load(cloud_image_info.RETURN)["images"]["contains"]
    found = catalog_door.describe(load_catalog(), "debian-13", "x86_64", TODAY)
    assert set(contains) == set(found)
    for key in ("id", "name", "url", "sums", "quirks", "lifecycle", "default_user", "firmware"):
        assert contains[key]["sample"] == (found[key] if key != "quirks" else ["ipconfig-required"]), key


def test_the_examples_are_tasks_of_this_module():
    tasks = yaml.safe_load(cloud_image_info.EXAMPLES)
    assert all("homelab.proxmox.cloud_image_info" in task and task["name"] for task in tasks)
