# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One way through every fault: suffer it, list what is left, run again without it, and run once more for nothing."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.support.site import Result, Site, file, half, plain, template

World = Callable[[Site], Callable[[], object]]
"""Changes the site outside of the fault injection; returns how to mend it."""


class Effect(t.NamedTuple):
    """One planned fault, see tests/support/pve/faults.py."""

    effect: str
    method: str = "*"
    path: str = ""
    options: Mapping[str, t.Any] = {}


def on(effect: str, request: str = "* ", **options: t.Any) -> Effect:
    """C(on("fail_task", "POST /qemu$", exitstatus="…"))."""
    method, _unused, path = request.partition(" ")
    return Effect(effect, method, path, options)


@dataclass(frozen=True, kw_only=True)
class Ordeal:
    """A fault and what it must come to.

    C(left) is what stock() lists after the run with the fault, written as C("image"), C("current 9000"),
    C("retired 9000"), C("building 9000") or verbatim. C(says) are parts of its message, C(warns) of its warnings.
    """

    name: str
    faults: tuple[Effect, ...] = ()
    world: World | None = None
    door: t.Literal["vm_template", "image"] = "vm_template"
    options: Mapping[str, t.Any] = field(default_factory=dict)
    """Of the run with the fault and of those after it."""
    only: Mapping[str, t.Any] = field(default_factory=dict)
    """Of the run with the fault alone."""
    start: Callable[[Site], None] | None = None
    says: tuple[str, ...] = ()
    warns: tuple[str, ...] = ()
    left: tuple[str, ...] | None = None
    survives: bool = False
    refused: bool = False
    """Nothing may be written by the run with the fault."""
    meanwhile: Callable[[Site, Result], None] | None = None
    """What happens after the run with the fault and before its end."""
    repairs: int = 1
    """Runs without the fault until everything is in order."""

    def __str__(self) -> str:
        return self.name


def suffer(site: Site, ordeal: Ordeal) -> Result:
    """The whole way; returns the result of the run with the fault."""
    if ordeal.start is not None:
        ordeal.start(site)
    mend = ordeal.world(site) if ordeal.world else None
    before = site.stock()
    for effect, method, path, options in ordeal.faults:
        site.faults.add(effect, method, path, **options)
    result = _go(site, ordeal, **ordeal.only)
    _judge(site, ordeal, result, before)
    site.faults.assert_all_fired()
    if ordeal.meanwhile is not None:
        ordeal.meanwhile(site, result)
    site.heal()
    if mend is not None:
        mend()
    recover(site, ordeal)
    return result


def recover(site: Site, ordeal: Ordeal) -> None:
    """Run without the fault until things are in order, then once more, which must write nothing."""
    for _run in range(ordeal.repairs):
        again = _go(site, ordeal)
        assert not again.get("failed"), again["msg"]
    _assert_in_order(site, ordeal)
    idle = _go(site, ordeal)
    assert not idle.get("failed"), idle["msg"]
    assert site.writes() == []
    assert idle["changed"] is False


def _go(site: Site, ordeal: Ordeal, **more: t.Any) -> Result:
    make = site.line if ordeal.door == "vm_template" else site.image
    return site.run(ordeal.door, make(**{**ordeal.options, **more}))


def _judge(site: Site, ordeal: Ordeal, result: Result, before: list[str]) -> None:
    message = plain(result.get("msg", ""))
    if ordeal.survives:
        assert not result.get("failed"), message
    else:
        assert result.get("failed"), f"the fault made no difference: {site.writes()}"
        site.assert_named(result, before)
    for text in ordeal.says:
        assert text in message, message
    warnings = plain(" ".join(str(warning) for warning in result.get("warnings", [])))
    for text in ordeal.warns:
        assert text in warnings, warnings
    if ordeal.refused:
        assert site.writes() == []
        assert site.stock() == before
    if ordeal.left is not None:
        assert site.stock() == listed(site, ordeal.left)


def listed(site: Site, tokens: tuple[str, ...]) -> list[str]:
    """What stock() has to list."""
    found: list[str] = []
    for token in tokens:
        word, _unused, rest = token.partition(" ")
        if token == "image":
            found.append(file(site.digest))
        elif token == "old image":
            found.append(file(site.digests[0]))
        elif word in ("current", "retired"):
            found += template(int(rest), word)
        elif word == "building":
            found += half(int(rest))
        elif word == "unpublished":
            found += template(int(rest), "building")
        else:
            found.append(token)
    return sorted(found)


def _assert_in_order(site: Site, ordeal: Ordeal) -> None:
    if ordeal.options.get("state") == "absent":
        kept = site.stock()
        if ordeal.door == "vm_template":
            assert kept == [file(site.digest)]
        else:
            assert kept == []
    elif ordeal.door == "vm_template":
        site.assert_whole()
    else:
        assert any(item.endswith(file(site.digest)) for item in site.stock()), site.stock()
