# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a configuration: every finding with its layer, file, line and key, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from .keys import Key, show_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding."""

    message: str
    layer: str = ""
    source: str = ""
    """The file, or the environment variable."""
    line: int | None = None
    key: Key = ()
    suggestion: str = ""

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}" if self.line is not None else self.source
        layer = f"{self.layer} layer" if self.layer else ""
        head = ": ".join(part for part in (place, layer, show_key(self.key) if self.key else "") if part)
        text = f"{head}: {self.message}" if head else self.message
        return f"{text}. {self.suggestion}" if self.suggestion else f"{text}."


class ConfigError(ValueError):
    """The configuration cannot be used or written; C(problems) holds every finding."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        texts = [str(problem) for problem in self.problems]
        many = f"{len(texts)} problems in the configuration:\n- " if len(texts) > 1 else ""
        super().__init__(many + "\n- ".join(texts))


def did_you_mean(name: str, names: Iterable[str], *, before: str = "") -> str:
    """A suggestion for a misspelt name, or nothing."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"Did you mean {before}{near[0]}?" if near else ""
