# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake cluster with the recorded set-up of limited callers: a pool with one VM, a user and its separated token."""

from __future__ import annotations

import typing as t

import requests

from .pve import FakeCluster, Server

USER, TOKEN = "auto@pve", "auto@pve!ci"
STORE_PRIVS = ("Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit")
CONFIG = ("CDROM", "CPU", "Cloudinit", "Disk", "HWType", "Memory", "Network", "Options")
GUEST_PRIVS = (
    *(f"VM.{name}" for name in ("Allocate", "Audit", "Backup", "Clone", "PowerMgmt")),
    *(f"VM.Config.{name}" for name in CONFIG),
    "Pool.Audit",
)
AGENT_PRIVS = {8: ("VM.Monitor",), 9: ("VM.GuestAgent.Audit", "VM.GuestAgent.FileRead", "VM.GuestAgent.Unrestricted")}


def build(version: str = "8.4.21", without: str = "", privsep: int = 1) -> FakeCluster:
    """A cluster with the recorded set-up: one pool, one VM in it, and a caller who lacks one privilege."""
    cluster = FakeCluster(version=version)
    cluster.pools["templates"] = set()
    cluster.add_vm(9450, "lp", pool="templates", config={
        "scsi0": "local-lvm:vm-9450-disk-0,size=2G", "scsi1": "local-lvm:vm-9450-cloudinit,media=cdrom",
        "ide2": "none,media=cdrom", "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0", "description": "x",
        "unused0": "local-lvm:vm-9450-disk-1", "serial0": "socket",
    })  # fmt: skip
    cluster.add_user(USER)
    cluster.add_token(TOKEN, privsep=privsep)
    roles = {
        "Guest": (*GUEST_PRIVS, *AGENT_PRIVS[cluster.major]),
        "Store": STORE_PRIVS,
        "Net": ("SDN.Use",),
        "Node": ("Sys.AccessNetwork",),
    }
    for role, privs in roles.items():
        cluster.add_role(role, [priv for priv in privs if priv != without])
    for who in (USER, TOKEN) if privsep else (USER,):
        cluster.grant(who, "/pool/templates", "Guest")
        cluster.grant(who, "/storage/local", "Store", propagate=0)
        cluster.grant(who, "/storage/local-lvm", "Store", propagate=0)
        cluster.grant(who, "/sdn/zones/localnetwork", "Net")
        cluster.grant(who, "/nodes/pve1", "Node", propagate=0)
    return cluster


class Client:
    """A bare HTTP client of one server, without retries; ``client("GET", "/version", "user@pve!token")``."""

    def __init__(self, server: Server) -> None:
        self.server, self.session = server, requests.Session()
        self.session.verify, self.session.trust_env = server.ca_path, False

    def __call__(self, method: str, path: str, as_: str | None = None, /, **data: t.Any) -> requests.Response:
        secret = self.server.cluster.apitokens.get(as_, "x")
        headers = {"Authorization": f"PVEAPIToken={as_}={secret}"} if as_ else {}
        place = "params" if method in ("GET", "DELETE") else "data"
        return self.session.request(method, self.server.url + path, headers=headers, **{place: data})

    def root(self, method: str, path: str, /, **data: t.Any) -> requests.Response:
        return self(method, path, self.server.token_id, **data)
