# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags of a guest: one string, compared as a set."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from .property_string import PropertyStringError

# $PVE_TAG_RE in pve-common's JSONSchema.pm.
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_\-+.]*", re.ASCII)
_SEPARATORS = re.compile(r"[,;\s]+")


def parse_tags(text: str) -> tuple[str, ...]:
    """Every tag as written, in order; any tag is taken, so that one odd guest does not spoil a cluster's list."""
    return tuple(name for name in _SEPARATORS.split(text) if name)


@dataclass(frozen=True, slots=True)
class Tags:
    """The string as Proxmox VE holds it: separated by C(;), C(,) or blanks; a lone blank is what an empty PUT leaves.

    Raises PropertyStringError for a tag with other characters.
    """

    text: str

    def __post_init__(self) -> None:
        for name in self.names:
            if not _TAG.fullmatch(name):
                raise PropertyStringError(
                    f"tags: {name!r} is no tag: letters, digits, '_', '-', '+' and '.' only, and none of '-+.' first"
                )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the string of the config or of C(/cluster/resources). Raises PropertyStringError."""
        return cls(text)

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """Tags in this order, joined by C(;). Raises PropertyStringError, also for a name that is several."""
        names = tuple(names)
        tags = cls(";".join(names))
        if tags.names != names:
            wrong = next(name for name in names if cls(name).names != (name,))
            raise PropertyStringError(f"tags: {wrong!r} is not one tag")
        return tags

    def __str__(self) -> str:
        return self.text

    @property
    def names(self) -> tuple[str, ...]:
        """Every tag as written, in order."""
        return parse_tags(self.text)

    def normal(self, *, case_sensitive: bool = False, keep_order: bool = False) -> Self:
        """What a PUT makes of them: lower-cased, each once, sorted, joined by C(;) (a POST stores them verbatim).

        The arguments are the datacenter's C(tag-style): C(case-sensitive=1), C(ordering=config). After
        C(get_unique_tags) in pve-guest-common's GuestHelpers.pm.
        """
        names = dict.fromkeys(name if case_sensitive else name.lower() for name in self.names)
        return type(self)(";".join(names if keep_order else sorted(names)))

    def as_set(self, *, case_sensitive: bool = False) -> frozenset[str]:
        """The tags to compare by; lower-cased unless the datacenter is case-sensitive."""
        return frozenset(self.normal(case_sensitive=case_sensitive).names)

    def replace(self, *, names: Iterable[str]) -> Self:
        """These names; the same object's text where they are the same tags in the same order."""
        names = tuple(names)
        return self if names == self.names else type(self).of(names)

    def same_as(self, other: Tags, *, ignore: Iterable[str] = (), case_sensitive: bool = False) -> bool:
        """Whether both are one set, but for the tags in C(ignore)."""
        ignored = type(self).of(ignore).as_set(case_sensitive=case_sensitive)
        mine, theirs = (tags.as_set(case_sensitive=case_sensitive) for tags in (self, other))
        return mine - ignored == theirs - ignored
