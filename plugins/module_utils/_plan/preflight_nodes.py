# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight: the cluster and its nodes: quorum, versions, firmware, clocks, bridges, and the way to the vendors."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .._model.preflight import (
    Finding,
    ImageSource,
    Level,
    Network,
    NodeFacts,
    PreflightFacts,
    PreflightWish,
    Reached,
    Unanswered,
)
from .build import MIN_IMPORT, version_tuple
from .privilege_table import NEEDS
from .privileges import Permissions

CLUSTER = "cluster"

# pve-edk2-firmware's changelog: from this package on, new EFI variables hold Microsoft's certificates of 2023 too.
FIRMWARE_2023 = (4, 2025, 5)
PVE_2023 = (9, 1)
"""The first release whose packages are new enough; an older one may have been updated."""

MAX_SKEW = 60
"""Seconds. Builds carry their time and a deadline, which controllers compare with their own clocks."""

_NO_HEAD = frozenset({405, 501})


def cluster_findings(wish: PreflightWish, facts: PreflightFacts) -> Iterator[Finding]:
    """Quorum, and nodes that are asked for and not there."""
    rows = facts.cluster.nodes.values()
    offline = sorted(row.node for row in rows if not row.online)
    online = f"{len(rows) - len(offline)} of {len(rows)} nodes are online"
    if isinstance(facts.quorate, Unanswered):
        yield _cluster("quorum", Level.UNKNOWN, f"{online}; {unread('the quorum', facts.quorate)}")
    elif facts.quorate is None and len(rows) == 1:
        yield _cluster("quorum", Level.OK, "one node, which needs nobody else")
    elif facts.quorate is None:
        yield _cluster(
            "quorum", Level.UNKNOWN, f"{online}; whether that is a quorum is not shown", shown_by("Sys.Audit", "/")
        )
    elif facts.quorate:
        yield _cluster("quorum", Level.OK, f"the cluster can be written to, {online}")
    else:
        missing = f" (offline: {', '.join(offline)})" if offline else ""
        yield _cluster(
            "quorum",
            Level.ERROR,
            f"the quorum is lost, {online}: every change would be refused",
            f"Start the missing nodes{missing}, or look with: pvecm status",
        )
    known = ", ".join(sorted(facts.cluster.nodes)) or "none"
    for name in wish.nodes:
        if name not in facts.cluster.nodes:
            yield Finding(
                check="node",
                level=Level.ERROR,
                subject=name,
                message="the cluster has no such node",
                remedy=f"Name some of: {known}",
            )


def node_findings(wish: PreflightWish, facts: PreflightFacts) -> Iterator[Finding]:
    """Each node that is asked for, or every one."""
    for name in wish.nodes or sorted(facts.cluster.nodes):
        row = facts.cluster.nodes.get(name)
        if row is None:
            continue
        if not row.online:
            yield Finding(
                check="node",
                level=Level.ERROR if name in wish.nodes else Level.WARNING,
                subject=name,
                message="the node is offline; nothing about it can be known, and nothing can be built there",
                remedy="Start it, or leave it out",
            )
        elif name in facts.nodes:
            answers = facts.nodes[name]
            yield _answers(name, answers)
            yield _version(name, answers)
            yield _firmware(name, answers)
            yield _clock(name, answers)
            for network in wish.networks:
                yield from _bridge(name, network, answers, Permissions(facts.permissions))


def vendor_findings(wish: PreflightWish, facts: PreflightFacts) -> Iterator[Finding]:
    """Whether the images can be fetched by the controller, and by the nodes that would do it themselves."""
    for image in wish.images:
        subject = f"image {image.id}"
        if not image.urls:
            yield Finding(
                check="vendor", level=Level.WARNING, subject=subject, message="its vendor offers no direct download"
            )
            continue
        yield from _from_controller(subject, image, facts)
        for name, answers in facts.nodes.items():
            yield from _from_node(subject, image, name, answers)


def shown_by(privilege: str, path: str) -> str:
    """The remedy for what these credentials may not see."""
    return f"{privilege} on {path} would show it"


def unread(what: str, answer: Unanswered) -> str:
    return f"{what} could not be read: {answer.reason.rstrip('.')}"


def lowest_major(facts: PreflightFacts) -> int:
    """The oldest major version among the nodes that told theirs; privileges are those that it knows."""
    told = [version_tuple(node.version)[0] for node in facts.nodes.values() if not isinstance(node.version, Unanswered)]
    return min((major for major in told if major in NEEDS), default=max(NEEDS))


def _cluster(check: str, level: Level, message: str, remedy: str = "") -> Finding:
    return Finding(check=check, level=level, subject=CLUSTER, message=message, remedy=remedy)


def _answers(name: str, answers: NodeFacts) -> Finding:
    told = (answers.version, answers.bridges, answers.firmware, answers.clock)
    asked = [answer for answer in told if answer is not None]
    silent = [answer for answer in asked if isinstance(answer, Unanswered)]
    if len(silent) < len(asked):
        return Finding(check="node", level=Level.OK, subject=name, message="it answers")
    return Finding(
        check="node",
        level=Level.ERROR,
        subject=name,
        message=f"the cluster takes it for online, but it does not answer: {silent[0].reason}",
        remedy="Look at pveproxy and the network between the nodes",
    )


def _version(name: str, answers: NodeFacts) -> Finding:
    def found(level: Level, message: str, remedy: str = "") -> Finding:
        return Finding(check="version", level=level, subject=name, message=message, remedy=remedy)

    if isinstance(answers.version, Unanswered):
        return found(Level.UNKNOWN, unread("its version", answers.version))
    runs = f"it runs Proxmox VE {answers.version}"
    major, minor = version_tuple(answers.version)
    if not major:
        return found(Level.UNKNOWN, f"it calls its version {answers.version!r}, which says nothing")
    if (major, minor) < MIN_IMPORT:
        wanted = ".".join(str(part) for part in MIN_IMPORT)
        return found(
            Level.ERROR,
            f"{runs}, which cannot import disk images through the API",
            f"Upgrade the node to Proxmox VE {wanted} or newer",
        )
    if major not in NEEDS:
        known = ", ".join(str(one) for one in sorted(NEEDS))
        return found(
            Level.WARNING,
            f"{runs}; this collection knows the majors {known}",
            "Try it with one template, or look for a newer release of the collection",
        )
    return found(Level.OK, runs)


def _firmware(name: str, answers: NodeFacts) -> Finding:
    """The certificates of 2011 expired in June 2026: signed loaders that know only those of 2023 need the new ones."""

    def found(level: Level, message: str, remedy: str = "") -> Finding:
        return Finding(check="firmware", level=level, subject=name, message=message, remedy=remedy)

    which = "which Secure Boot certificates its firmware can enrol"
    if answers.firmware is None:
        return found(
            Level.UNKNOWN, f"{which} is not shown{_by_release(answers)}", shown_by("Sys.Audit", f"/nodes/{name}")
        )
    if isinstance(answers.firmware, Unanswered):
        return found(Level.UNKNOWN, f"{unread(which, answers.firmware)}{_by_release(answers)}")
    if not answers.firmware:
        return found(
            Level.UNKNOWN,
            f"its list of packages has no pve-edk2-firmware{_by_release(answers)}",
            "Look on the node with: pveversion -v",
        )
    package = f"pve-edk2-firmware {answers.firmware}"
    if _numbers(answers.firmware) >= FIRMWARE_2023:
        return found(Level.OK, f"{package} enrols the Secure Boot certificates of 2023")
    return found(
        Level.WARNING,
        f"{package} enrols the Secure Boot certificates of 2011 only, which expired in June 2026; templates with "
        f"efi.secure_boot would be built with them",
        "Upgrade the node's packages (pve-edk2-firmware 4.2025.05-1 or newer), then rebuild such templates",
    )


def _by_release(answers: NodeFacts) -> str:
    if isinstance(answers.version, Unanswered) or not version_tuple(answers.version)[0]:
        return ""
    if version_tuple(answers.version) >= PVE_2023:
        return f"; Proxmox VE {answers.version} comes with one for those of 2023"
    return f"; Proxmox VE {answers.version} came with one for those of 2011 only"


def _numbers(version: str) -> tuple[int, ...]:
    """The upstream part of a Debian version: C(4.2025.05-2) is (4, 2025, 5)."""
    upstream = version.rpartition(":")[2].partition("-")[0]
    return tuple(int(part) for part in re.findall(r"\d+", upstream))


def _clock(name: str, answers: NodeFacts) -> Finding:
    def found(level: Level, message: str, remedy: str = "") -> Finding:
        return Finding(check="clock", level=level, subject=name, message=message, remedy=remedy)

    if answers.clock is None:
        return found(Level.UNKNOWN, "its clock is not shown", shown_by("Sys.Audit", f"/nodes/{name}"))
    if isinstance(answers.clock, Unanswered):
        return found(Level.UNKNOWN, unread("its clock", answers.clock))
    seconds = round(abs(answers.clock))
    if seconds <= MAX_SKEW:
        return found(Level.OK, "its clock agrees with the controller's")
    return found(
        Level.WARNING,
        f"its clock is {seconds} s {'ahead of' if answers.clock > 0 else 'behind'} the controller's",
        "Let both keep time (chronyc tracking, timedatectl)",
    )


def _bridge(name: str, network: Network, answers: NodeFacts, permissions: Permissions) -> Iterator[Finding]:
    if not network.iface or answers.bridges is None:
        return

    def found(level: Level, message: str, remedy: str = "") -> Finding:
        return Finding(check="bridge", level=level, subject=f"{name}/{network.iface}", message=message, remedy=remedy)

    if isinstance(answers.bridges, Unanswered):
        yield found(Level.UNKNOWN, unread("the node's bridges", answers.bridges))
    elif network.iface in answers.bridges:
        yield found(Level.OK, "the bridge is there")
    elif not any(permissions.has(f"/sdn/zones/{network.zone_path}", one) for one in ("SDN.Use", "SDN.Audit")):
        yield found(
            Level.UNKNOWN,
            "the bridge is not listed; it may be hidden from these credentials",
            shown_by("SDN.Use", f"/sdn/zones/{network.zone_path}"),
        )
    else:
        # Proxmox VE takes any name at create; such a VM fails at its first start (observed on 8.4).
        others = ", ".join(sorted(answers.bridges)) or "none"
        yield found(Level.ERROR, "the node has no such bridge, a VM on it would not start", f"It has: {others}")


def _from_controller(subject: str, image: ImageSource, facts: PreflightFacts) -> Iterator[Finding]:
    for url in image.urls:
        answer = facts.vendors.get(url)
        if answer is None:
            continue
        level, message, remedy = _heard("the controller", url, answer)
        yield Finding(check="vendor", level=level, subject=subject, message=message, remedy=remedy)


def _heard(who: str, url: str, answer: Reached | Unanswered) -> tuple[Level, str, str]:
    remedy = "Look at the proxy and firewall, or name a mirror in a catalogue file of your own"
    if isinstance(answer, Unanswered):
        return Level.ERROR, f"{who} cannot reach {url}: {answer.reason.rstrip('.')}", remedy
    if answer.status in _NO_HEAD:
        return Level.UNKNOWN, f"{url} takes no HEAD request (HTTP {answer.status})", ""
    if answer.status >= 400:
        return Level.ERROR, f"{who} gets HTTP {answer.status} for {url}", remedy
    return Level.OK, f"{who} reaches {url}", ""


def _from_node(subject: str, image: ImageSource, name: str, answers: NodeFacts) -> Iterator[Finding]:
    if image.url is None or image.packed or not image.url.startswith(("http://", "https://")):
        return
    answer = answers.urls.get(image.url)
    if answer is None:
        yield Finding(
            check="vendor",
            level=Level.UNKNOWN,
            subject=subject,
            message=f"whether {name} reaches its vendor is not shown; the controller would upload the image",
            remedy=shown_by("Sys.AccessNetwork", f"/nodes/{name}"),
        )
        return
    level, message, remedy = _heard(name, image.url, answer)
    if level is Level.ERROR:
        remedy = "Let the node out (http_proxy in datacenter.cfg), or set transfer to upload"
    yield Finding(check="vendor", level=level, subject=subject, message=message, remedy=remedy)
