# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of customising: a builder has to boot, to answer, and to get what it is told to install."""

from __future__ import annotations

from collections.abc import Iterator

from .._model.template import Survey, TemplateLine
from .plan import Refusal
from .privileges import Call


def customise_refusals(line: TemplateLine, survey: Survey) -> Iterator[Refusal]:
    """Reasons that need no server but what was read; nothing for a line that is not customised."""
    if line.customize is None:
        return
    yield from _guest(line)
    place = line.place
    row = survey.cluster.storage(place.node, place.iso_storage)
    if row is None or not row.available:
        reason, remedy = "the node has no such storage that these credentials may see", "Name another one"
    elif "iso" not in row.content:
        reason = (
            f"its content has no 'iso', and the seed of a builder is one (content: {', '.join(sorted(row.content))})"
        )
        remedy = f"Run: pvesm set {row.storage} --content {','.join(sorted(row.content | {'iso'}))}"
    else:
        return
    yield Refusal(subject=line.subject, option="iso_storage", value=place.iso_storage, reason=reason, remedy=remedy)


def customise_calls(line: TemplateLine) -> Iterator[Call]:
    """The API calls of customising, beside those of a build."""
    if line.customize is None:
        return
    place = line.place
    for name in ("read_status", "start", "stop", "power", "agent", "agent_exec", "agent_exec_status", "agent_read"):
        yield Call(name=name, node=place.node, pool=place.pool, vmid=None)
    yield Call(name="config_cdrom", node=place.node, pool=place.pool, vmid=None)
    for name in ("upload", "image_delete"):
        yield Call(name=name, node=place.node, storage=place.iso_storage)


def proof_calls(line: TemplateLine) -> Iterator[Call]:
    """The API calls of a proof."""
    if line.prove is None:
        return
    place = line.place
    yield Call(name="clone", node=place.node, pool=place.pool, vmid=None, storage=place.storage)
    for name in ("read_status", "start", "stop", "agent", "agent_exec", "agent_exec_status", "agent_read"):
        yield Call(name=name, node=place.node, pool=place.pool, vmid=None)


def _guest(line: TemplateLine) -> Iterator[Refusal]:
    customize, image = line.customize, line.image
    if customize is None:
        return
    if image.cloud_init == "none":
        yield Refusal(
            subject=line.subject,
            option="customize",
            value="…",
            reason=f"{image.name} has no cloud-init, so nothing reads what it shall become",
            remedy="Leave customize out, or choose another image",
        )
    if customize.agent == "none" and image.guest_agent != "yes":
        yield Refusal(
            subject=line.subject,
            option="customize.agent",
            value="none",
            reason=f"{image.name} brings no guest agent that is known of, and a builder is watched through it",
            remedy="Set customize.agent to auto",
        )
    if line.settings.get("agent", "1").removeprefix("enabled=").startswith("0"):
        yield Refusal(
            subject=line.subject,
            option="agent.enabled",
            value=False,
            reason="a builder is watched and sealed through its guest agent",
            remedy="Leave agent out, or leave customize out",
        )
    networked = "net0" not in line.clears
    if not networked and (image.guest_agent != "yes" and not customize.agent_packages):
        yield Refusal(
            subject=line.subject,
            option="net",
            value=[],
            reason="without a network the guest agent cannot be installed",
            remedy="Give a network device, or the agent's packages with customize.agent_packages",
        )
    elif not networked and (customize.packages or customize.package_upgrade):
        yield Refusal(
            subject=line.subject,
            option="net",
            value=[],
            reason="without a network no packages can be installed",
            remedy="Give a network device, or leave customize.packages and customize.package_upgrade out",
        )
