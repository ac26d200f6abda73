# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every refusal that a real server was recorded with means something, and the right thing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._pve import errors
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import (
    ApiError,
    ConnectionFailed,
    DeadlineExceeded,
    Kind,
    ProxmoxError,
    TaskFailed,
    TlsFailed,
    WriteLost,
    as_fields,
    classify,
    classify_exit,
    classify_task,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.upid import Upid, succeeded

RECORDED = Path(__file__).parents[2] / "support" / "recorded"
UPID = Upid.parse("UPID:pve1:0000784E:000A5FFE:6B0444CB:qmcreate:9200:root@pam!lab:")


def exchanges() -> Iterator[dict[str, Any]]:
    for name in ("customise", "extra", "reads", "refusals", "template-life"):
        yield from json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))["exchanges"]


def general(text: str) -> str:
    """Without what differs from one occurrence to the next."""
    text = re.sub(r"\(/[^,()]*, [^()]*\)", "(PATH, PRIVILEGE)", text.strip())
    return re.sub(r"(?<!\w)'[^']*'", "'…'", re.sub(r"\d+", "N", re.sub(r"at /usr/share.*", "at …", text)))


def refusals() -> set[tuple[int, str, str, Kind]]:
    found = set()
    for exchange in exchanges():
        response = exchange["response"]
        if response["status"] < 400:
            continue
        body = response["body"] if isinstance(response["body"], dict) else {}
        message = body.get("message") or response["reason"]
        faults = body.get("errors") or {}
        kind = classify(response["status"], message, faults)
        found.add((response["status"], general(message), ", ".join(sorted(faults)), kind))
    return found


def bad_exits() -> Iterator[tuple[str, Kind]]:
    for exchange in exchanges():
        body = exchange["response"]["body"]
        data = body.get("data") if isinstance(body, dict) else None
        for source in (data, exchange.get("task")):
            text = source.get("exitstatus") if isinstance(source, dict) else None
            if text and not succeeded(text):
                yield general(text), classify_exit(text)


# What the server said (numbers, quoted names and paths left out), and the options that it blamed.
REFUSALS = [
    (400, "Parameter verification failed.", "command", Kind.PARAMETER),
    (400, "Parameter verification failed.", "command, command[]", Kind.PARAMETER),
    (400, "Parameter verification failed.", "content", Kind.PARAMETER),
    (400, "Parameter verification failed.", "description", Kind.PARAMETER),
    (400, "Parameter verification failed.", "filename", Kind.PARAMETER),
    (400, "Parameter verification failed.", "input-data", Kind.PARAMETER),
    (400, "Parameter verification failed.", "memory, name, net0", Kind.PARAMETER),
    (400, "Parameter verification failed.", "tags", Kind.PARAMETER),
    (401, "Authentication failed!", "", Kind.AUTH),
    (403, "Permission check failed", "", Kind.PERMISSION),
    (403, "Permission check failed (PATH, PRIVILEGE)", "", Kind.PERMISSION),
    (500, "Agent error: Invalid parameter '…'", "", Kind.AGENT),
    (500, "Agent error: failed to open file '…' (mode: '…'): No such file or directory", "", Kind.NOT_FOUND),
    (500, "Agent error: failed to read file: Is a directory", "", Kind.AGENT),
    (500, "Configuration file '…' does not exist", "", Kind.NOT_FOUND),
    (500, "Linked clone feature is not supported for '…' (scsiN)", "", Kind.NOT_SUPPORTED),
    (500, "No QEMU guest agent configured", "", Kind.AGENT),
    (500, "Only root can pass arbitrary filesystem paths. at …", "", Kind.PERMISSION),
    (500, "QEMU guest agent is not running", "", Kind.AGENT),
    (500, "SSH public key validation error", "", Kind.PARAMETER),
    (500, "VM N is not running", "", Kind.NOT_RUNNING),
    (500, "VM N qmp command '…' failed - got timeout", "", Kind.AGENT),
    (500, "Wide character in subroutine entry at …", "", Kind.PARAMETER),
    (500, "can't remove VM N - protection mode enabled", "", Kind.PROTECTED),
    (500, "can't upload to storage type '…', not a file based storage!", "", Kind.NOT_SUPPORTED),
    (500, "checksum mismatch (file change by other user?)", "", Kind.DIGEST_MISMATCH),
    (500, "create role failed: role '…' already exists", "", Kind.ALREADY_EXISTS),
    (500, "hostname lookup '…' failed - failed to get address info for: pveN: Name or service not known", "", None),
    (500, "storage '…' does not exist", "", Kind.NOT_FOUND),
    (500, "unable to create VM N - VM N already exists on node '…'", "", Kind.ALREADY_EXISTS),
    (500, "volume_size_info on '…' failed - no format", "", Kind.NOT_FOUND),
    (500, "you can't convert a template to a template", "", Kind.NOT_SUPPORTED),
    (501, "Method '…' not implemented", "", Kind.NOT_SUPPORTED),
    (596, "Broken pipe", "", Kind.NODE_DOWN),
]

EXITS = [
    ("VM quit/powerdown failed - got timeout", Kind.OTHER),
    ("base volume '…' is still in use by linked cloned", Kind.IN_USE),
    ("checksum mismatch: got '…' != expect '…'", Kind.CHECKSUM),
    ("download failed: exit code N", Kind.DOWNLOAD),
    ("job errors", Kind.OTHER),
    ("unable to create VM N - failed to stat '…'", Kind.NOT_FOUND),
    ("volume '…' does not exist", Kind.NOT_FOUND),
    ("you can't start a vm if it's a template", Kind.NOT_SUPPORTED),
]


def test_recorded_refusals() -> None:
    expected = {(status, text, names, kind or Kind.NODE_DOWN) for status, text, names, kind in REFUSALS}
    assert refusals() == expected


def test_recorded_exit_statuses() -> None:
    assert set(bad_exits()) == set(EXITS)


@pytest.mark.parametrize(
    ("status", "message", "faults", "kind"),
    [
        (500, "VM is locked (backup)", {}, Kind.LOCKED),
        (500, "VM 101 is locked (create)", {}, Kind.LOCKED),
        (500, "unable to find configuration file for VM 777 on node 'pve1'", {}, Kind.NOT_FOUND),
        (500, "unable to create VM 300: config file already exists", {}, Kind.ALREADY_EXISTS),
        (500, "cluster not ready - no quorum?", {}, Kind.NO_QUORUM),
        (500, "cfs-lock 'storage-a' error: no quorum!", {}, Kind.NO_QUORUM),
        (500, "cfs-lock 'storage-a' error: got lock request timeout", {}, Kind.BUSY),
        (500, "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout", {}, Kind.BUSY),
        (500, "got no worker upid - start worker failed", {}, Kind.BUSY),
        (500, "VM 200 is running - destroy failed", {}, Kind.RUNNING),
        (500, "you can't convert a VM to template if VM is running", {}, Kind.RUNNING),
        (500, "only root can set 'args' config", {}, Kind.PERMISSION),
        (500, "detected modified configuration - file changed by other user? Try again.", {}, Kind.DIGEST_MISMATCH),
        (500, "storage 'local' is not configured for content-type 'import'", {}, Kind.NOT_SUPPORTED),
        (500, "create storage failed: storage ID 'fast' already defined", {}, Kind.ALREADY_EXISTS),
        (500, "no such user ('x')", {}, Kind.NOT_FOUND),
        (500, "something nobody has seen", {}, Kind.OTHER),
        (400, "Parameter verification failed.", {"storage": "No such storage."}, Kind.NOT_FOUND),
        (400, "Parameter verification failed.", {"vmid": "VM 9001 already exists"}, Kind.ALREADY_EXISTS),
        (400, "Parameter verification failed.", {"tokenid": "Token already exists."}, Kind.ALREADY_EXISTS),
        (400, "Parameter verification failed.", {"upid": "no such task"}, Kind.NOT_FOUND),
        (400, "Parameter verification failed.", {"skiplock": "Only root may use this option."}, Kind.PERMISSION),
        (
            400,
            "Parameter verification failed.",
            {"storage": "storage 'fast' does not support vm images"},
            Kind.NOT_SUPPORTED,
        ),
        (595, "No route to host", {}, Kind.NODE_DOWN),
        (599, "Too many redirections", {}, Kind.NODE_DOWN),
        (401, "", {}, Kind.AUTH),
    ],
)
def test_observed_refusals(status: int, message: str, faults: dict[str, str], kind: Kind) -> None:
    assert classify(status, message, faults) is kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("VM 101 already running", Kind.RUNNING),
        ("refusing to override existing file '/var/lib/vz/import/a.qcow2'", Kind.ALREADY_EXISTS),
        ("shrinking disks is not supported", Kind.NOT_SUPPORTED),
        ("disk 'scsi9' does not exist", Kind.NOT_FOUND),
        ("403 Permission check failed (/vms/9450, VM.Backup)", Kind.PERMISSION),
        ("lvcreate 'pve/vm-1-disk-0' error:   Volume group \"pve\" has insufficient free space", Kind.NO_SPACE),
        ("command '/usr/bin/qemu-img …' failed: No space left on device", Kind.NO_SPACE),
        ("unexpected status", Kind.OTHER),
    ],
)
def test_observed_exit_statuses(text: str, kind: Kind) -> None:
    assert classify_exit(text) is kind


@pytest.mark.parametrize(
    ("exit_status", "log", "kind"),
    [
        ("job errors", ["INFO: start", "ERROR: Backup of VM 9100 failed - unable to find VM '9100'"], Kind.NOT_FOUND),
        ("download failed: exit code 3", ["x: No space left on device", "TASK ERROR: download failed"], Kind.NO_SPACE),
        ("download failed: exit code 8", ["2026-11-23 ERROR 404: File not found."], Kind.DOWNLOAD),
        ("job errors", ["INFO: VM 100 is locked (backup)"], Kind.OTHER),
        ("VM is locked (backup)", ["No space left on device"], Kind.LOCKED),
    ],
)
def test_the_log_speaks_where_the_exit_status_does_not(exit_status: str, log: list[str], kind: Kind) -> None:
    assert classify_task(exit_status, log) is kind


def test_every_row_names_its_origin_and_is_reached() -> None:
    origin = re.compile(r"recorded|observed|PVE::|errno|lvm2")
    for row in errors._TEXTS:
        assert origin.search(row.origin), row
        re.compile(row.pattern)
    assert {row.kind for row in errors._TEXTS} | {Kind.AUTH, Kind.OTHER} == set(Kind)


REFUSED = ApiError(Kind.LOCKED, "VM is locked (backup)\n", 500, "PUT", "/nodes/a/qemu/1/config")
FAILED = TaskFailed(Kind.OTHER, UPID, "job errors", ("ERROR: Backup failed - no VM", "TASK ERROR: job errors"))


@pytest.mark.parametrize(
    ("error", "fields"),
    [
        (REFUSED, {"kind": "locked", "http_status": 500, "path": "/nodes/a/qemu/1/config"}),
        (
            ApiError(Kind.PARAMETER, "P", 400, "POST", "/x", {"a": "b\n"}),
            {"kind": "parameter", "http_status": 400, "path": "/x", "errors": {"a": "b"}},
        ),
        (
            FAILED,
            {
                "kind": "other",
                "task": {"upid": str(UPID), "exit_status": "job errors", "log_tail": list(FAILED.log_tail)},
            },
        ),
        (DeadlineExceeded("x", 5.0, UPID), {"kind": "deadline", "task": {"upid": str(UPID)}}),
        (DeadlineExceeded("x", 5.0), {"kind": "deadline"}),
        (TlsFailed("x", "AA:BB"), {"kind": "tls", "fingerprint": "AA:BB"}),
        (ConnectionFailed("x", sent=True), {"kind": "connection"}),
        (WriteLost("x"), {"kind": "write_lost"}),
        (ProxmoxError("x"), {"kind": "other"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_fields_for_results(error: ProxmoxError, fields: dict[str, Any]) -> None:
    assert as_fields(error) == fields


def test_messages_say_what_where_and_why() -> None:
    assert str(REFUSED) == "PUT /nodes/a/qemu/1/config: VM is locked (backup) (HTTP 500)"
    assert "task qmcreate 9200 on node pve1 failed: job errors (ERROR: Backup failed - no VM)" in str(FAILED)
    late = str(DeadlineExceeded("the task qmcreate 9200", 1800.0, UPID))
    for part in ("1800 s", "qmcreate 9200", str(UPID), "goes on", "`timeout`"):
        assert part in late
