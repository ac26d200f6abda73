# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials that may not do enough, or cease to be worth anything in the middle of a run."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Iterator

import pytest

from tests.support import pve_lab
from tests.support.ordeal import Ordeal, World, on, suffer
from tests.support.site import Result, Site, open_site
from tests.support.vendor import Vendor

POOL = {"pool": "templates"}
LAB = ("VM 9450 lp",)


def without(privilege: str) -> World:
    """No role has the privilege."""

    def take(site: Site) -> Callable[[], object]:
        roles = site.cluster.access.roles
        holders = [name for name, held in roles.items() if privilege in held and not name.startswith("PVE")]
        assert holders
        for name in holders:
            roles[name].discard(privilege)
        return lambda: [roles[name].add(privilege) for name in holders]

    return take


@pytest.fixture(params=["8.4.21", "9.1.2"])
def limited(request: pytest.FixtureRequest, bench_vendor: Vendor) -> Iterator[Site]:
    """A site whose token has the least privileges that a build needs."""
    cluster = pve_lab.build(request.param)
    with open_site(bench_vendor, cluster) as site:
        site.login = {"api_token_id": pve_lab.TOKEN, "api_token_secret": cluster.access.secrets[pve_lab.TOKEN]}
        yield site


TOKEN = f"api_token_id='{pve_lab.TOKEN}'"
GUEST = ["VM.Allocate", *(f"VM.Config.{name}" for name in pve_lab.CONFIG)]
NEEDED = [
    *((privilege, "/pool/templates") for privilege in GUEST),
    ("Datastore.AllocateSpace", "/storage/local-lvm"),
    ("Datastore.AllocateTemplate", "/storage/local"),
    ("SDN.Use", "/sdn/zones/localnetwork/vmbr0"),
]


def test_the_least_privileges_are_enough(limited: Site) -> None:
    suffer(limited, Ordeal(name="none", options=POOL, survives=True, left=(*LAB, "image", "current 9000")))


@pytest.mark.parametrize(("privilege", "path"), NEEDED)
def test_a_missing_privilege_is_refused_with_the_line_that_grants_it(limited: Site, privilege: str, path: str) -> None:
    says = (TOKEN, f"it lacks {privilege} on {path}", "Run on a node: pveum role add", f"--tokens '{pve_lab.TOKEN}'")
    suffer(limited, Ordeal(name=privilege, world=without(privilege), options=POOL, refused=True, says=says))


def test_a_node_that_may_not_download_is_sent_the_image(limited: Site) -> None:
    def uploaded(site: Site, _result: Result) -> None:
        assert site.writes()[0] == "POST /nodes/pve1/storage/local/upload"

    ordeal = Ordeal(name="upload", world=without("Sys.AccessNetwork"), options=POOL, survives=True, meanwhile=uploaded)
    suffer(limited, ordeal)


@pytest.mark.parametrize("door", ["vm_template", "image"])
def test_a_node_that_shall_download_and_may_not(limited: Site, door: t.Literal["vm_template", "image"]) -> None:
    suffer(
        limited,
        Ordeal(
            name="download",
            door=door,
            world=without("Sys.AccessNetwork"),
            options={"transfer": "download", **(POOL if door == "vm_template" else {})},
            refused=True,
            says=(TOKEN, "it lacks Sys.AccessNetwork on /nodes/pve1", "Run on a node: pveum role add"),
        ),
    )


def test_who_sees_no_guests_takes_none_for_absent(limited: Site) -> None:
    assert not limited.keep(**POOL).get("failed")
    suffer(
        limited,
        Ordeal(
            name="VM.Audit",
            world=without("VM.Audit"),
            options=POOL,
            refused=True,
            says=("pool='templates'", "not allowed to see guests", "Grant VM.Audit on /pool/templates"),
            left=(*LAB, "image", "current 9000"),
        ),
    )


def test_without_a_pool_the_token_may_nothing(limited: Site) -> None:
    result = limited.keep()
    assert result["failed"]
    assert "Grant VM.Audit on /vms" in result["msg"]
    assert limited.writes() == []


TAKEN = f"{TOKEN} lacks a privilege; the playbook homelab.proxmox.access grants all"


@pytest.mark.parametrize(
    "ordeal",
    [
        Ordeal(
            name="at create",
            faults=(on("drop_privilege", "POST /qemu$", privilege="VM.Allocate"),),
            says=("403", TAKEN),
            left=(*LAB, "image"),
        ),
        Ordeal(
            name="at convert",
            faults=(on("drop_privilege", "POST /template$", privilege="VM.Allocate"),),
            says=("403", TAKEN, "VM 9000 on pve1, unfinished: it could not be removed"),
            left=(*LAB, "image", "building 9000"),
        ),
        Ordeal(
            name="at publish",
            faults=(on("drop_privilege", "PUT /config$", privilege="VM.Config.Options"),),
            says=("403", "VM.Config.Options", TAKEN, "VM 9000 is complete but not published"),
            left=(*LAB, "image", "unpublished 9000"),
        ),
        Ordeal(
            name="a worker that dies before the VM is in the pool",
            faults=(on("fail_task", "POST /qemu$", exitstatus="unexpected status", crash=True),),
            says=("unexpected status", "VM 9000 on pve1 exists and these credentials may not see it", "qm config 9000"),
            left=(*LAB, "image", "VM 9000 ?", "lock 9000 create"),
            world=lambda site: lambda: (site.cluster.vms[9000].config.pop("lock"), site.cluster.remove_vm(9000)),
        ),
    ],
    ids=str,
)
def test_in_the_middle_of_a_run(limited: Site, ordeal: Ordeal) -> None:
    suffer(limited, Ordeal(**{**vars(ordeal), "options": POOL}))


REQUESTS = [
    "GET ^/access/permissions$",
    "POST /download-url$",
    "GET /status$",
    "POST /qemu$",
    "PUT /resize$",
    "POST /template$",
    "PUT /config$",
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_ticket_that_expires_is_renewed(site: Site, request_: str) -> None:
    site.login = {"api_user": site.server.user, "api_password": site.server.password}
    suffer(site, Ordeal(name="ticket", faults=(on("expire_ticket", request_),), survives=True))


def test_a_ticket_that_expires_and_cannot_be_renewed(site: Site) -> None:
    site.login = {"api_user": site.server.user, "api_password": site.server.password}
    refused = on("status", "POST ^/access/ticket$", nth=2, times=None, code=401, message="authentication failure")
    suffer(
        site,
        Ordeal(
            name="password changed",
            faults=(on("expire_ticket", "PUT /resize$"), refused),
            says=("401", "Check api_user and api_password", "VM 9000 on pve1, unfinished: it could not be removed"),
            left=("image", "building 9000"),
        ),
    )


@pytest.mark.parametrize("door", ["vm_template", "image"])
def test_wrong_credentials(site: Site, door: t.Literal["vm_template", "image"]) -> None:
    for login in (
        {"api_user": site.server.user, "api_password": "wrong"},
        {"api_token_id": site.server.token_id, "api_token_secret": "00000000-0000-0000-0000-000000000000"},
    ):
        site.login = login
        result = site.run(door, site.line() if door == "vm_template" else site.image())
        assert result["failed"]
        assert result["error"]["kind"] == "auth"
        assert site.writes() == []
        assert "wrong" not in result["msg"]
