# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is looked at in a clone that has booted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from .._model.proof import ProofWish
from .._model.vm_config import VmConfig
from .guest import Guest

_WHO = r"""printf 'machine-id %s\n' "$(cat /etc/machine-id 2>/dev/null)"
for key in /etc/ssh/ssh_host_*_key.pub; do
    [ -r "$key" ] && printf 'host-key %s\n' "$(cut -d ' ' -f 1,2 "$key")"
done
exit 0
"""

_PRESENT = (
    ("packages", "dpkg -s {0} 2>/dev/null | grep -q '^Status: .* installed$' || rpm -q {0} || apk info -e {0}\n"),
    ("services", "systemctl is-active {0}\n"),
    ("users", "id {0}\n"),
)

_GROWN = 0.75
"""The least share of the disk that the root file system has: the rest is for boot partitions and its own tables."""

Who = Mapping[str, frozenset[str]]


def found_wrong(guest: Guest, wish: ProofWish, config: VmConfig) -> Iterator[str]:
    """Everything that does not hold, in words."""
    yield from _commands(guest, wish)
    for option, test in _PRESENT:
        for name in getattr(wish, option):
            ended = guest.script(test.format(shlex.quote(name)), f"prove.{option}")
            if ended.status != 0:
                yield f"{option.removesuffix('s')} {name}: {ended.text or 'it is not there'}"
    for port in wish.ports:
        ended = guest.script(f"ss -Htln 'sport = :{port}' | grep -q .\n", "prove.ports")
        if ended.status != 0:
            yield f"nothing listens on port {port}"
    if not wish.failed_units:
        ended = guest.script("systemctl --failed --no-legend --plain 2>/dev/null || :\n", "the failed units")
        units = [line.split()[0] for line in ended.out.splitlines() if line.strip()]
        if units:
            yield f"failed units: {', '.join(units)}"
    yield from _grown(guest, config)


def _commands(guest: Guest, wish: ProofWish) -> Iterator[str]:
    for number, check in enumerate(wish.commands):
        ended = guest.script(f"{check.command}\n", f"prove.commands[{number}]")
        said = ended.text or "no output"
        if ended.status != check.status:
            yield f"{check.command!r} ended with status {ended.status}, not {check.status}: {said}"
        elif check.stdout is not None and not re.search(check.stdout, ended.out, re.MULTILINE):
            yield f"the output of {check.command!r} does not match {check.stdout!r}: {said}"


def _grown(guest: Guest, config: VmConfig) -> Iterator[str]:
    disk = config.disks().get("scsi0")
    ended = guest.script("df -B1 --output=size / 2>/dev/null | tail -n 1\n", "the size of the root file system")
    size = ended.out.strip()
    if disk is None or disk.size_bytes is None or not size.isdigit():
        return
    if int(size) < disk.size_bytes * _GROWN:
        has, all_of_it = int(size) / 2**30, disk.size_bytes / 2**30
        yield f"the root file system has {has:.1f} GiB of the disk's {all_of_it:.1f} GiB: it did not grow"


def who_is(guest: Guest) -> Who:
    """What tells one machine from another: its machine-id and its host keys."""
    found: dict[str, set[str]] = {}
    for line in guest.script(_WHO, "machine-id and host keys").out.splitlines():
        kind, _blank, value = line.partition(" ")
        if value.strip():
            found.setdefault(kind, set()).add(value.strip())
    return {kind: frozenset(values) for kind, values in found.items()}


def twins(whos: Sequence[tuple[int, Who]]) -> Iterator[str]:
    """What clones, by their VMID, have in common that each must have of its own."""
    for position, (vmid, who) in enumerate(whos):
        if not who.get("machine-id"):
            yield f"VM {vmid} has no machine-id"
        for other, others in whos[:position]:
            for kind in sorted(set(who) & set(others)):
                if who[kind] & others[kind]:
                    yield f"VM {other} and VM {vmid} have the same {kind}: the template is not sealed"
