# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merging one cloud-config into another by cloud-init's rules.

The rules are those of cloud-init's page "Merging cloud-config", in detail as versions 22.4 to 26.2 behave: a merger for
each of dict, list and str with its options. What no merger is named for stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Lists grow, mappings are joined, and what is there already stays.
DEFAULT_RULES = "list(append)+dict(recurse_array,no_replace)+str()"

_MERGER = re.compile(r"([a-z_][a-z0-9_]*)\((.*)\)")
# In the order in which cloud-init looks for them; the default is the last but for lists.
_METHODS = {"dict": ("replace", "no_replace"), "list": ("append", "prepend", "replace", "no_replace"), "str": ()}
_DEFAULT_METHOD = {"dict": "no_replace", "list": "replace", "str": ""}
_FORM = "merge rules look like list(append)+dict(recurse_list,no_replace)+str()"


class MergeError(ValueError):
    """The rules cannot be read, or two values cannot be merged by them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One merger: for which type, how it meets a value that is there, and into which types it goes on."""

    type: str
    method: str
    options: frozenset[str]

    @classmethod
    def of(cls, name: str, options: Sequence[str]) -> Rule:
        """Raises MergeError for a merger that cloud-init does not have."""
        name = name.replace("-", "_").strip().removeprefix("m_")
        if name not in _METHODS:
            raise MergeError(f"there is no merger {name!r}; there are dict, list and str")
        named = [method for method in _METHODS[name] if method in options]
        return cls(name, named[0] if named else _DEFAULT_METHOD[name], frozenset(options))

    def goes_into(self, value: object) -> bool:
        """Whether a value of this type is merged with its counterpart rather than kept or replaced."""
        if isinstance(value, list | tuple):
            return bool(self.options & {"recurse_array", "recurse_list"})
        if isinstance(value, str):
            return "recurse_str" in self.options
        return isinstance(value, Mapping) and (self.type == "dict" or "recurse_dict" in self.options)


def parse_rules(value: object) -> tuple[Rule, ...]:
    """Read C(merge_how): a text, or a list of C({name, settings}) or C([name, option...]). Raises MergeError."""
    if isinstance(value, str):
        return tuple(_from_text(part) for part in value.split("+") if part.strip())
    if not isinstance(value, list | tuple):
        raise MergeError(_FORM)
    return tuple(_from_item(item) for item in value)


def _from_text(part: str) -> Rule:
    match = _MERGER.fullmatch(part.lower().strip().replace("-", "_"))
    if not match:
        raise MergeError(f"{part.strip()!r} is no merger; {_FORM}")
    return Rule.of(match[1], [option.strip() for option in match[2].split(",") if option.strip()])


def _from_item(item: object) -> Rule:
    if isinstance(item, Mapping):
        name, options = item.get("name"), item.get("settings")
    elif isinstance(item, list | tuple) and item:
        name, options = item[0], item[1:]
    else:
        raise MergeError(f"{item!r} names no merger; {_FORM}")
    options = options if isinstance(options, list | tuple) else [None]
    if not isinstance(name, str) or not all(isinstance(option, str) for option in options):
        raise MergeError(f"{item!r} needs a name and a list of settings")
    return Rule.of(name, options)


def merge_config(base: Mapping[str, Any], addition: Mapping[str, Any], default: str = DEFAULT_RULES) -> dict[str, Any]:
    """C(addition) merged into C(base) by its own C(merge_how) or C(merge_type), or else by C(default).

    Neither argument is changed. Raises MergeError.
    """
    own = dict(addition)
    named = [own.pop(key) for key in ("merge_how", "merge_type") if own.get(key) is not None]
    for key in ("merge_how", "merge_type"):
        own.pop(key, None)
    rules = (parse_rules(named[0]) if named else ()) or parse_rules(default)
    merged = merge(rules, dict(base), own)
    if not isinstance(merged, dict):
        raise MergeError("the merged configuration is no mapping")
    return merged


def merge(rules: Sequence[Rule], old: Any, new: Any) -> Any:
    """C(new) merged into C(old) by the first rule for the type of C(old). Raises MergeError."""
    kind = "dict" if isinstance(old, Mapping) else "list" if isinstance(old, list | tuple) else ""
    kind = "str" if isinstance(old, str) else kind
    rule = next((rule for rule in rules if rule.type == kind), None)
    if rule is None:
        return old
    if kind == "dict":
        return _into_dict(rules, rule, old, new)
    return _into_list(rules, rule, old, new) if kind == "list" else _into_str(rule, old, new)


def _into_dict(rules: Sequence[Rule], rule: Rule, old: Mapping[str, Any], new: Any) -> Any:
    merged = dict(old)
    if not isinstance(new, Mapping):
        return merged
    for key, value in new.items():
        if key not in merged:
            merged[key] = value
        elif value is None and "allow_delete" in rule.options:
            del merged[key]
        elif rule.method == "replace":
            merged[key] = value
        elif rule.goes_into(value):
            merged[key] = merge(rules, merged[key], value)
    return merged


def _into_list(rules: Sequence[Rule], rule: Rule, old: Sequence[Any], new: Any) -> Any:
    if not isinstance(new, list | tuple):
        if rule.method == "replace":
            return new
        raise MergeError(f"a list cannot be merged with {type(new).__name__} by list({rule.method})")
    if rule.method in {"append", "prepend"}:
        return [*old, *new] if rule.method == "append" else [*new, *old]
    merged = list(old)
    if rule.method == "replace":
        # By position; cloud-init drops what the new list has beyond the length of the old one.
        for index, value in enumerate(new[: len(old)]):
            merged[index] = merge(rules, old[index], value) if rule.goes_into(value) else value
    return merged


def _into_str(rule: Rule, old: str, new: Any) -> Any:
    if "append" not in rule.options:
        return new
    if not isinstance(new, str):
        raise MergeError(f"a text cannot be merged with {type(new).__name__} by str(append)")
    return old + new
