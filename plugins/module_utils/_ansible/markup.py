# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTML from values: what is not markup already is escaped, so no name can become markup."""

from __future__ import annotations

import html
import re

# Control characters, lone surrogates, and the signs that turn the direction of text around or hide within it.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_VOID = frozenset({"meta", "br"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """A value as HTML text."""
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(_UNSEEN.sub("\ufffd", str(value)), quote=True))


def join(*parts: object, by: object = "") -> Markup:
    """Several values as one; None and empty ones are left out."""
    return Markup(text(by).join(text(part) for part in parts if part is not None and part != ""))


def el(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element. Underlines at the end of attribute names go, others become hyphens; None leaves one out."""
    given = [
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    ]
    opening = f"<{name}{''.join(given)}>"
    return Markup(opening if name in _VOID else f"{opening}{join(*children)}</{name}>")
