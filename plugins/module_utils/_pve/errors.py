# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong between us and Proxmox, classified in one place.

ProxmoxError
├─ ConnectionFailed   no reply; `sent` says whether the server may have seen the request
│  └─ TlsFailed       the server's certificate is not trusted; nothing was sent
├─ ApiError           a reply that refuses
├─ TaskFailed         a task that ended badly
├─ DeadlineExceeded   the time of the whole run is used up
│  └─ Interrupted     a signal has ended the run
└─ WriteLost          a write was cut off, and reading did not show what became of it

Ordinary refusals arrive as HTTP 500 on this API, so a status alone says little and "retry 5xx" would be a bug. The
table below holds the texts that Proxmox is known to send, and where each was seen: `recorded` and `observed` mean a
Proxmox VE 8.4.21 server, a Perl package name means that package's source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from .upid import Upid


class Kind(StrEnum):
    """What a refusal means for the caller."""

    AUTH = "auth"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    LOCKED = "locked"
    DIGEST_MISMATCH = "digest_mismatch"
    PARAMETER = "parameter"
    PROTECTED = "protected"
    RUNNING = "running"
    NOT_RUNNING = "not_running"
    AGENT = "agent"
    IN_USE = "in_use"
    NO_QUORUM = "no_quorum"
    NODE_DOWN = "node_down"
    NO_SPACE = "no_space"
    CHECKSUM = "checksum"
    DOWNLOAD = "download"
    NOT_SUPPORTED = "not_supported"
    BUSY = "busy"
    OTHER = "other"


class _Row(NamedTuple):
    pattern: str
    kind: Kind
    origin: str


# The first row that matches wins, so the special stands above the general.
_TEXTS: tuple[_Row, ...] = (
    # --- the state of the cluster ---
    _Row(r"no quorum", Kind.NO_QUORUM, "PVE::Cluster check_cfs_quorum: cluster not ready - no quorum?"),
    _Row(r"^hostname lookup '.*' failed", Kind.NODE_DOWN, "recorded: any call for a node that is unknown or gone"),
    # --- permissions; also as the exit status of a task ---
    _Row(r"Permission check failed", Kind.PERMISSION, "recorded: 403, and as exit status of vzdump and resize"),
    _Row(r"^only root can set '", Kind.PERMISSION, "observed: 500 for 'args' and 'lock' with a token of root@pam"),
    _Row(r"Only root may use this option", Kind.PERMISSION, "observed: 400 for skiplock"),
    _Row(r"^Only root can pass arbitrary filesystem paths", Kind.PERMISSION, "recorded: import-from=/path"),
    # --- somebody else was faster ---
    _Row(r"^checksum mismatch \(file change by", Kind.DIGEST_MISMATCH, "recorded: 500 for PUT and POST config"),
    _Row(r"detected modified configuration", Kind.DIGEST_MISMATCH, "PVE::Tools assert_if_modified"),
    # --- locks and too much at once ---
    _Row(r"can't lock file '.*' - got timeout", Kind.BUSY, "PVE::Tools lock_file: flock after 10 s"),
    _Row(r"can't acquire lock '", Kind.BUSY, "PVE::Tools lock_file_full"),
    _Row(
        r"got lock (request )?timeout",
        Kind.BUSY,
        "PVE::Cluster cfs_lock: error with cfs lock '...': got lock request timeout",
    ),
    _Row(
        r"got no worker upid", Kind.BUSY, "PVE::RESTEnvironment fork_worker: got no worker upid - start worker failed"
    ),
    _Row(
        r"\b(VM|CT) (\d+ )?is locked( \(|$|:)",
        Kind.LOCKED,
        "observed: 500 for config, template, clone; task for start, destroy",
    ),
    # --- protection and dependants ---
    _Row(r"protection mode enabled", Kind.PROTECTED, "recorded: can't remove VM 9310 - protection mode enabled"),
    _Row(r"is still in use by linked clone", Kind.IN_USE, "recorded: exit status of qmdestroy on directory storage"),
    # --- the guest agent ---
    _Row(r"^QEMU guest agent is not running", Kind.AGENT, "recorded: agent/*, while the guest boots or hangs"),
    _Row(r"^No QEMU guest agent configured", Kind.AGENT, "recorded: agent/* without agent=1"),
    _Row(
        r"^Agent error: failed to open file '.*: No such file", Kind.NOT_FOUND, "recorded: agent/file-read, file-write"
    ),
    _Row(r"^Agent error: ", Kind.AGENT, "recorded: agent/exec-status, file-read"),
    _Row(r"qmp command 'guest-.*' failed", Kind.AGENT, "recorded: agent/exec, got timeout"),
    # --- running or not ---
    _Row(r"is not running$", Kind.NOT_RUNNING, "recorded: VM 9320 is not running"),
    _Row(r"\b(VM|CT) \d+ not running$", Kind.NOT_RUNNING, "PVE::API2::Qemu vm_reset, vm_reboot, vm_suspend, vm_resume"),
    _Row(r"\b(VM|CT) \d+ already running", Kind.RUNNING, "observed: exit status of qmstart"),
    _Row(r"is running - destroy failed", Kind.RUNNING, "observed: DELETE of a running VM"),
    _Row(r"convert a VM to template if VM is running", Kind.RUNNING, "observed: POST template"),
    # --- space ---
    _Row(r"No space left on device", Kind.NO_SPACE, "errno ENOSPC, as perl, qemu-img and wget print it"),
    _Row(r"insufficient free space", Kind.NO_SPACE, 'lvm2: Volume group "pve" has insufficient free space'),
    _Row(r"free space in thin pool .* reached threshold", Kind.NO_SPACE, "lvm2: Cannot create new thin volume"),
    _Row(r"not enough (free )?(disk )?space|out of space", Kind.NO_SPACE, "PVE::Storage, zfs: out of space"),
    _Row(r"Disk quota exceeded", Kind.NO_SPACE, "errno EDQUOT"),
    # --- files from elsewhere ---
    _Row(r"^checksum mismatch: got", Kind.CHECKSUM, "recorded: exit status of download"),
    _Row(r"^refusing to override existing file", Kind.ALREADY_EXISTS, "observed: exit status of download"),
    _Row(r"^download failed: ", Kind.DOWNLOAD, "recorded: exit code 8 of wget is an error reply of the vendor"),
    # --- there already ---
    _Row(r"already exists", Kind.ALREADY_EXISTS, "recorded: VM (early clash), role; observed: nextid, token, user"),
    _Row(
        r"config file already exists", Kind.ALREADY_EXISTS, "observed: clone onto a taken VMID, late clash in the task"
    ),
    _Row(r"^snapshot name '.*' already used", Kind.ALREADY_EXISTS, "PVE::AbstractConfig snapshot_prepare, in the task"),
    _Row(r"storage ID '.*' already defined", Kind.ALREADY_EXISTS, "observed: POST storage"),
    # --- what this object or storage cannot do ---
    _Row(r"not a file based storage", Kind.NOT_SUPPORTED, "recorded: download-url to lvmthin"),
    _Row(r"is not configured for content-type '", Kind.NOT_SUPPORTED, "observed: download-url without 'import'"),
    _Row(r"does not support (vm|container) images", Kind.NOT_SUPPORTED, "observed: 400 {storage} on create"),
    _Row(r"feature is not (supported|available)", Kind.NOT_SUPPORTED, "recorded: linked clone, snapshot of raw files"),
    _Row(r"shrinking disks is not supported", Kind.NOT_SUPPORTED, "observed: resize to the same or a smaller size"),
    _Row(r"can't create base images in", Kind.NOT_SUPPORTED, "PVE::Storage::LVMPlugin create_base"),
    _Row(r"convert a template to a template", Kind.NOT_SUPPORTED, "recorded: POST template"),
    _Row(r"because VM contains snapshots", Kind.NOT_SUPPORTED, "observed: POST template"),
    _Row(r"start a vm if it's a template", Kind.NOT_SUPPORTED, "recorded: exit status of qmstart"),
    _Row(r"^parameter '.*' not allowed for linked clones", Kind.NOT_SUPPORTED, "observed: clone with storage="),
    _Row(r"^can't clone VM to node '.*' \(VM uses local storage\)", Kind.NOT_SUPPORTED, "PVE::API2::Qemu clone_vm"),
    # --- not there ---
    _Row(r"^Configuration file '.*' does not exist", Kind.NOT_FOUND, "recorded: config, status, DELETE"),
    _Row(r"^unable to find configuration file for (VM|CT) ", Kind.NOT_FOUND, "observed: clone of a missing VM"),
    _Row(r"failed to stat '", Kind.NOT_FOUND, "recorded: exit status of qmcreate, import source missing"),
    _Row(r"\bdoes not exist\b", Kind.NOT_FOUND, "recorded: storage, volume; observed: role, pool, disk"),
    _Row(r"^no such (user|task|cluster node|pool|role|group|token)\b", Kind.NOT_FOUND, "observed; also 400 {upid}"),
    _Row(r"No such storage", Kind.NOT_FOUND, "observed: 400 {storage} of storage status"),
    _Row(r"^unable to find VM '", Kind.NOT_FOUND, "recorded: log of vzdump"),
    _Row(r"^volume_size_info on '.*' failed - no format", Kind.NOT_FOUND, "recorded: GET content of a missing iso"),
    # --- values ---
    _Row(r"^SSH public key validation error", Kind.PARAMETER, "recorded: 500 for sshkeys"),
    _Row(r"^unable to parse (lvm|directory|volume)", Kind.PARAMETER, "observed: 500 for disk sizes with a unit"),
    _Row(r"^Wide character in ", Kind.PARAMETER, "recorded: agent/file-write with non-Latin-1 text"),
)
_COMPILED = tuple((re.compile(row.pattern), row.kind) for row in _TEXTS)

_BY_STATUS: Mapping[int, Kind] = {
    400: Kind.PARAMETER,
    401: Kind.AUTH,
    403: Kind.PERMISSION,
    404: Kind.NOT_FOUND,
    501: Kind.NOT_SUPPORTED,
    # AnyEvent::HTTP invents these when a node cannot reach the node that the call is for.
    595: Kind.NODE_DOWN,
    596: Kind.NODE_DOWN,
    597: Kind.NODE_DOWN,
    599: Kind.NODE_DOWN,
}

UNCERTAIN_STATUS = frozenset({596, 597, 599})
"""The other node may have seen the request: the proxying node gave up on its answer (30 s), or lost it."""


def classify_exit(text: str) -> Kind:
    """The kind of a task's exit status, or of one line of its log."""
    text = text.strip()
    for pattern, kind in _COMPILED:
        if pattern.search(text):
            return kind
    return Kind.OTHER


def classify_task(exit_status: str, log_tail: Sequence[str]) -> Kind:
    """The kind of a failed task: some exit statuses say nothing (C(job errors)), and the reason is only in the log."""
    kind = classify_exit(exit_status)
    if kind not in (Kind.OTHER, Kind.DOWNLOAD):
        return kind
    for line in reversed(log_tail):
        if "ERROR" in line or "failed" in line or "error" in line or "No space" in line:
            reason = classify_exit(re.sub(r"^.*failed - ", "", line))
            if reason not in (Kind.OTHER, Kind.DOWNLOAD):
                return reason
    return kind


def classify(http_status: int, message: str, errors: Mapping[str, str] | None = None) -> Kind:
    """The kind of a reply: of its status where that decides, else of its texts, else of its status."""
    if http_status in (401, 403) or http_status in UNCERTAIN_STATUS:
        return _BY_STATUS[http_status]
    for text in (*(errors or {}).values(), message):
        kind = classify_exit(str(text))
        if kind is not Kind.OTHER:
            return kind
    return _BY_STATUS.get(http_status, Kind.OTHER)


class ProxmoxError(Exception):
    """Everything this package raises about Proxmox."""


class ConnectionFailed(ProxmoxError):
    """No reply came. C(sent): the server may have seen the request, and may have obeyed it."""

    def __init__(self, message: str, sent: bool) -> None:
        super().__init__(message)
        self.message = message
        self.sent = sent


class TlsFailed(ConnectionFailed):
    """The certificate is not trusted. C(fingerprint) is the SHA-256 of what the server showed, where it is known."""

    def __init__(self, message: str, fingerprint: str | None = None) -> None:
        super().__init__(message, sent=False)
        self.fingerprint = fingerprint


class ApiError(ProxmoxError):
    """A reply that refuses. C(errors) maps options of the API call to what is wrong with them."""

    def __init__(  # noqa: PLR0917
        self,
        kind: Kind,
        message: str,
        http_status: int,
        method: str,
        path: str,
        errors: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.message = message.strip()
        self.http_status = http_status
        self.method = method
        self.path = path
        self.errors = {name: str(text).strip() for name, text in (errors or {}).items()}
        details = "".join(f" {name}: {text}." for name, text in self.errors.items())
        super().__init__(f"{method} {path}: {self.message or 'no message'} (HTTP {http_status}){details}")

    @property
    def uncertain(self) -> bool:
        """Whether the server may have obeyed all the same."""
        return self.http_status in UNCERTAIN_STATUS


class TaskFailed(ProxmoxError):
    """A task that ended with anything but C(OK) or warnings. C(log_tail) are the last lines of its log."""

    def __init__(self, kind: Kind, upid: Upid, exit_status: str, log_tail: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.upid = upid
        self.exit_status = exit_status
        self.log_tail = log_tail
        subject = f"{upid.type} {upid.id}".strip()
        reasons = [line for line in log_tail if "ERROR" in line and exit_status not in line]
        log = f" ({reasons[-1].strip()})" if reasons else ""
        super().__init__(f"task {subject} on node {upid.node} failed: {exit_status}{log}")


class DeadlineExceeded(ProxmoxError):
    """C(seconds), the time allowed for the whole run, are over. A task that was waited for goes on by itself."""

    def __init__(self, what: str, seconds: float, upid: Upid | None = None) -> None:
        self.what = what
        self.seconds = seconds
        self.upid = upid
        goes_on = f"; its task goes on on node {upid.node} as {upid}" if upid else ""
        super().__init__(f"timeout: {seconds:g} s were not enough, still waiting for {what}{goes_on}. Raise `timeout`.")


class Interrupted(DeadlineExceeded):
    """A signal has ended the run. Nothing new is begun; a task that was waited for goes on by itself."""

    def __init__(self, what: str, signal: str, upid: Upid | None = None) -> None:
        super().__init__(what, 0.0, upid)
        goes_on = f"; its task goes on on node {upid.node} as {upid}" if upid else ""
        self.args = (f"interrupted by {signal} while waiting for {what}{goes_on}. A further run finishes or cleans up",)


class WriteLost(ProxmoxError):
    """The connection was cut during a write, and nothing that can be read says whether it was done."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"the connection was cut during a write whose outcome is unknown: {what}")


def as_fields(exc: ProxmoxError) -> dict[str, Any]:
    """The machine-readable form for a module's result; keys that do not apply are absent."""
    fields: dict[str, Any] = {}
    match exc:
        case ApiError():
            fields = {"kind": str(exc.kind), "http_status": exc.http_status, "path": exc.path}
            if exc.errors:
                fields["errors"] = dict(exc.errors)
        case TaskFailed():
            task = {"upid": str(exc.upid), "exit_status": exc.exit_status, "log_tail": list(exc.log_tail)}
            fields = {"kind": str(exc.kind), "task": task}
        case DeadlineExceeded():
            fields = {"kind": "deadline"}
            if exc.upid:
                fields["task"] = {"upid": str(exc.upid)}
        case TlsFailed():
            fields = {"kind": "tls"}
            if exc.fingerprint:
                fields["fingerprint"] = exc.fingerprint
        case ConnectionFailed():
            fields = {"kind": "connection"}
        case WriteLost():
            fields = {"kind": "write_lost"}
        case _:
            fields = {"kind": str(Kind.OTHER)}
    return fields
