# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user can do about a step that failed: the option that it stands in, its value, and what would be right."""

from __future__ import annotations

from .._images.errors import DigestMismatch, ImageError
from .._model.image import CloudImage
from .._plan.plan import Step
from .._plan.steps import (
    Adopt,
    Build,
    Configure,
    Convert,
    Customise,
    Destroy,
    FetchImage,
    Pause,
    Prove,
    Publish,
    Release,
    RemoveImage,
    Resume,
    Retire,
    Seal,
    Settle,
)
from .._pve.errors import ApiError, Kind, TaskFailed

_ANYWHERE = {
    Kind.NO_QUORUM: "The cluster has too few nodes online to be written to (pvecm status). Run again when it has",
    Kind.BUSY: "The node has too much to do at once. Run again later",
    Kind.AUTH: "Check api_user and api_password, or api_token_id and api_token_secret",
    Kind.DIGEST_MISMATCH: "Somebody else keeps changing this VM. Run again when nobody else writes to it",
}


def advice(
    step: Step, error: Exception, *, identity: str, vmid: int | None = None, image_storage: str = "image_storage"
) -> str:
    """One or two sentences, empty where the message already says it all.

    C(identity) is the user or token that acts, C(vmid) the VM that the step was at; C(image_storage) is how the door
    calls the storage of an image.
    """
    if isinstance(error, ImageError):
        return _fetching(step, error)
    if not isinstance(error, ApiError | TaskFailed):
        return ""
    who = "api_token_id" if "!" in identity else "api_user"
    told = {
        **_ANYWHERE,
        Kind.PERMISSION: f"{who}={identity!r} lacks a privilege; the playbook homelab.proxmox.access grants all",
        Kind.NODE_DOWN: f"node={_node(step)!r}: the node does not answer. Check that it is online, and run again",
        **(_storing(step, image_storage) if isinstance(step, FetchImage | RemoveImage) else _keeping(step, vmid)),
    }
    return told.get(error.kind, "")


def is_stale(error: Exception) -> bool:
    """Whether what a plan was made of has changed: a config between read and write, or an image behind its sums.

    A VM that is gone was destroyed meanwhile, maybe by a run that did what this one wanted.
    """
    if isinstance(error, ApiError) and error.kind is Kind.NOT_FOUND and "/qemu/" in error.path:
        return True
    if isinstance(error, ApiError | TaskFailed):
        return error.kind in (Kind.DIGEST_MISMATCH, Kind.CHECKSUM)
    return isinstance(error, DigestMismatch)


def _storing(step: FetchImage | RemoveImage, option: str) -> dict[Kind, str]:
    told = {
        Kind.NO_SPACE: f"{option}={step.storage!r}: it has no space left. Free some, or name another storage",
        Kind.NOT_SUPPORTED: f"{option}={step.storage!r}: it takes no disk images as files. Name one that does",
    }
    if isinstance(step, FetchImage):
        told[Kind.CHECKSUM] = _untrue(step)
        told[Kind.DOWNLOAD] = (
            f"{_source(step.image)}: node {step.node} cannot fetch it. "
            "Check that the node reaches this address, or set transfer to upload"
        )
    return told


def _keeping(step: Step, vmid: int | None) -> dict[Kind, str]:
    told = {
        Kind.LOCKED: (
            f"Another operation holds the lock of VM {vmid}. Run again when it has ended; "
            f"a lock that nobody holds any more goes by: qm unlock {vmid}"
        ),
        Kind.PROTECTED: f"Run on the node: qm set {vmid} --protection 0",
    }
    if isinstance(step, Build | Settle):
        place = step.line.place
        told[Kind.NO_SPACE] = f"storage={place.storage!r}: it has no space left. Free some, or name another storage"
        told[Kind.NOT_SUPPORTED] = f"storage={place.storage!r}: it cannot hold a template. Name another storage"
        if place.vmid is not None:
            told[Kind.ALREADY_EXISTS] = (
                f"vmid={place.vmid}: another client took it meanwhile. Choose a free one, or give vmid_range instead; "
                "if another run of this line has it, run again when that has ended"
            )
    return told


def _fetching(step: Step, error: ImageError) -> str:
    if not isinstance(step, FetchImage):
        return ""
    if isinstance(error, DigestMismatch):
        return _untrue(step)
    return f"{_source(step.image)} was to be fetched here, verified and uploaded; nothing of it was stored"


def _untrue(step: FetchImage) -> str:
    pinned = step.image.family == "own" and step.image.digest is not None
    option = f"checksum='{step.source.digest}'" if pinned else _source(step.image)
    said = "this says" if pinned else f"its checksum says ({step.source.digest})"
    return (
        f"{option}: what {step.source.url} gives is not what {said}. One of the two was changed, or the vendor is "
        "publishing right now. Nothing of it was kept. Compare the checksum with the vendor's, and run again"
    )


def _source(image: CloudImage) -> str:
    return f"url={image.url!r}" if image.family == "own" else f"image={image.id!r}"


def _node(step: Step) -> str:
    match step:
        case FetchImage() | RemoveImage():
            return step.node
        case Destroy():
            return step.generation.row.node
        case Build() | Publish() | Retire() | Configure() | Adopt() | Settle() | Release():
            return step.line.place.node
        case Customise() | Pause() | Resume() | Seal() | Convert() | Prove():
            return step.line.place.node
    return ""
