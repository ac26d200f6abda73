# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A template that is customised, baked with roles, sealed, proved by two clones and published. Four boots.

Its image has no guest agent: that comes from the packages on the seed. The baseline is baked in over SSH, as the
account that the seed has made, and a file through the agent. Beside it a builder boots whose script fails.
"""

from __future__ import annotations

import json

from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import Identity, read_identity

from tests.support.boot.chain import BROKEN_RANGE, PLAYBOOK, Baked, Chain, line, variables
from tests.support.boot.site import BootSite


def test_it_is_published_with_its_proof(site: BootSite, baked: Baked) -> None:
    assert baked.run.returncode == 0, baked.told
    vm = site.lab.vms[baked.vmid]
    assert vm.template
    assert not vm.running
    identity = read_identity(baked.vmid, vm.config["description"])
    assert isinstance(identity, Identity)
    assert identity.proof.startswith("passed "), identity.proof
    assert "2 clones, agent after" in identity.proof
    assert (identity.bake, identity.paused) == ("1", "")


def test_files_come_back_through_the_agent_as_they_are(site: BootSite, baked: Baked) -> None:
    assert (site.folder / "baked").read_text(encoding="utf-8") == "by homelab-bake on Debian, grüße\n", baked.told


def test_the_baseline_leaves_nothing_open(site: BootSite, baked: Baked) -> None:
    found = json.loads((site.folder / "findings").read_text(encoding="utf-8"))
    assert {row["measure"] for row in found if row["fixed"]} >= {"ssh", "sysctl", "audit", "updates", "umask"}, found
    assert [row for row in found if not row["fixed"]] == [], baked.told


def test_nothing_is_left_of_the_way(site: BootSite, baked: Baked) -> None:
    assert [other for other in site.lab.vms if 9300 <= other <= 9399] == [baked.vmid], baked.told
    assert [volid for volid in site.lab.volumes() if "homelab-seed" in volid] == []
    assert [machine for machine in site.lab.machines if 9300 <= machine <= 9399] == []
    config = site.lab.vms[baked.vmid].config
    assert "scsi2" not in config
    assert "cloudinit" in config["scsi1"]


def test_the_second_run_has_nothing_to_do(site: BootSite, baked: Baked) -> None:
    assert baked.vmid, baked.told
    again = site.call("vm_template", line(site))
    assert again["changed"] is False, again
    assert site.server.writes() == []
    second = site.play(PLAYBOOK, {"proxmox_clusters": site.cluster(**variables(site))})
    assert second.returncode == 0, second.stdout + second.stderr
    assert site.server.writes() == []


def test_both_clones_of_the_proof_took_the_declared_key_and_are_not_each_others_twins(
    site: BootSite, baked: Baked
) -> None:
    assert baked.visit is not None, baked.told
    assert baked.visit.returncode == 0, baked.visit.stdout + baked.visit.stderr
    first, second = ((site.folder / f"visited-clone-{number}").read_text().split() for number in (1, 2))
    # machine-id, kind of the key, key
    assert (len(first[0]), first[1]) == (32, "ssh-ed25519")
    assert (first[0] != second[0], first[1] == second[1], first[2] != second[2]) == (True, True, True)


def test_a_line_whose_script_fails_is_refused_in_the_guests_own_words(site: BootSite, chain: Chain) -> None:
    refused = chain.refused()
    assert refused.returncode == 2, refused.stdout
    assert "script bad, ended with status 7:" in refused.stdout
    assert "about to fail" in refused.stdout
    assert "ls: cannot access '/no/such': No such file or directory" in refused.stdout
    # Nothing is left of it.
    assert [vmid for vmid in (*site.lab.vms, *site.lab.machines) if vmid in BROKEN_RANGE] == []
    assert [volid for volid, volume in site.lab.volumes().items() if volume.vmid in BROKEN_RANGE] == []
