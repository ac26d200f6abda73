# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup cloud_image, called directly and from a template of a task."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleLookupError
from ansible_collections.homelab.proxmox.plugins.lookup import cloud_image
from ansible_collections.homelab.proxmox.plugins.module_utils._images.catalog import load_catalog

NAME = "homelab.proxmox.cloud_image"
# Not resolved: the checkout is a link in the tree of collections.
TREE = str(Path(cloud_image.__file__).parents[5])


def _lookup(*terms, **options):
    # What the plugin loader does before it hands a plugin out.
    definitions = yaml.safe_load(cloud_image.DOCUMENTATION)["options"]
    constants.config.initialize_plugin_configuration_definitions("lookup", NAME, definitions)
    plugin = cloud_image.LookupModule()
    plugin._load_name = NAME
    return plugin.run(list(terms), {}, **options)


def test_one_dictionary_per_term():
    found = _lookup("debian-trixie", "rocky-10")
    assert found == [load_catalog().describe("debian-13"), load_catalog().describe("rocky-10")]


def test_the_architecture_is_an_option():
    assert _lookup("debian-13", arch="aarch64")[0]["url"].endswith("-arm64.qcow2")


def test_an_own_catalogue_is_an_option(tmp_path):
    path = tmp_path / "own.yml"
    path.write_text(
        "schema_version: 1\nimages:\n  - {id: own-1, name: x, family: own, os_family: other, release: '1',"
        " architectures: {x86_64: {url: /srv/x.qcow2}}}\n"
    )
    assert _lookup("own-1", catalog_files=[str(path)])[0]["origin"] == str(path)


@pytest.mark.parametrize(
    ("terms", "options", "text"),
    [
        (["debain-13"], {}, "image: 'debain-13' is not in the catalogue; did you mean debian-13"),
        (["almalinux-10-v2"], {"arch": "aarch64"}, "it exists for x86_64"),
        (
            ["debian-13"],
            {"catalog_files": ["/nonexistent/own.yml"]},
            "catalog_files: /nonexistent/own.yml cannot be read",
        ),
    ],
)
def test_what_is_wrong_is_said(terms, options, text):
    with pytest.raises(AnsibleLookupError, match=r"^homelab\.proxmox\.cloud_image: ") as caught:
        _lookup(*terms, **options)
    assert text in str(caught.value)


@pytest.mark.slow
def test_from_a_template_of_a_task(tmp_path):
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": TREE, "HOME": str(tmp_path), "ANSIBLE_NOCOLOR": "1"}
    environment["ANSIBLE_LOCALHOST_WARNING"] = environment["ANSIBLE_INVENTORY_UNPARSED_WARNING"] = "false"
    query = "query('homelab.proxmox.cloud_image', 'debian-13', 'rocky-10') | map(attribute='default_user') | join('+')"
    command = [str(Path(sys.executable).with_name("ansible")), "localhost", "-m", "ansible.builtin.debug"]
    command += ["-a", f"msg={{{{ {query} }}}}"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert '"msg": "debian+rocky"' in result.stdout, result.stdout + result.stderr
