# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of the role docker, as Ansible finds them."""

from __future__ import annotations

import base64
import hashlib

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.proxmox.plugins.filter import docker_plan, openpgp_fingerprints

# A version 4 key packet of nobody: version, moment, algorithm, a number. Its fingerprint is a digest over all of it.
BODY = b"\x04\x65\x00\x00\x00\x01\x00\x08\xff\x00\x02\x03"
KEY = b"\x99" + len(BODY).to_bytes(2, "big") + BODY


def test_filters_bear_the_names_of_their_files():
    assert set(docker_plan.FilterModule().filters()) == {"docker_plan"}
    assert set(openpgp_fingerprints.FilterModule().filters()) == {"openpgp_fingerprints"}


def test_fingerprint_is_the_digest_of_the_key():
    told = openpgp_fingerprints.FilterModule().filters()["openpgp_fingerprints"]
    assert told(base64.b64encode(KEY).decode()) == [hashlib.sha1(KEY).hexdigest().upper()]


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x00\x01"])
def test_what_is_no_key_is_refused_by_its_name(content):
    told = openpgp_fingerprints.FilterModule().filters()["openpgp_fingerprints"]
    with pytest.raises(AnsibleFilterError, match="the vendor's key"):
        told(base64.b64encode(content).decode(), "the vendor's key")
