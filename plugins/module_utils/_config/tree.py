# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merging layers, keeping who said what: a tree whose every leaf knows the layers that had a say, lowest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from .documents import REMOVE, REPLACE, Document
from .keys import Key
from .schema import UNSET, Schema, list_rule, member, merge_rule
from .secrets import is_reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one layer says of one place."""

    layer: str
    source: str
    line: int | None = None
    key: Key = ()
    """Where the layer says it. Numbers in lists are those of the layer."""
    value: Any = None
    removes: bool = False
    """The layer takes away what lower layers said, so that the default holds again."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A single value; C(gone) where the last word was a removal."""

    said: tuple[Said, ...]
    value: Any = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Branch:
    """A mapping. C(said): statements about it as a whole that were overruled, or that it is empty."""

    members: Mapping[str, Node]
    said: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class Items:
    """A list. C(said): the statements that made it. C(fresh): it replaces whatever its rule says."""

    items: tuple[Node, ...]
    said: tuple[Said, ...] = ()
    fresh: bool = False


Node: TypeAlias = "Leaf | Branch | Items"


def of_document(document: Document, layer: str, source: str) -> Branch:
    """The tree of one layer."""
    return _Planting(document, layer, source).branch((), document.data)


class _Planting:
    def __init__(self, document: Document, layer: str, source: str) -> None:
        self._document = document
        self._layer = layer
        self._source = source

    def _said(self, key: Key, value: Any, *, removes: bool = False) -> tuple[Said, ...]:
        line = self._document.line(key) if self._document.lines else None
        place = tuple(part for part in key if part != REPLACE)
        return (Said(layer=self._layer, source=self._source, line=line, key=place, value=value, removes=removes),)

    def branch(self, key: Key, value: Mapping[str, Any]) -> Branch:
        members = {name: self.node((*key, name), inner) for name, inner in value.items()}
        return Branch(members, () if members else self._said(key, {}))

    def node(self, key: Key, value: Any) -> Node:
        if value is None:
            return Leaf(self._said(key, None, removes=True), gone=True)
        if isinstance(value, Mapping):
            if set(value) == {REPLACE} and isinstance(value[REPLACE], list):
                return replace(self.items((*key, REPLACE), value[REPLACE]), fresh=True)
            if is_reference(value):
                return Leaf(self._said(key, value), value)
            return self.branch(key, value)
        if isinstance(value, list):
            return self.items(key, value)
        return Leaf(self._said(key, value), value)

    def items(self, key: Key, value: list[Any]) -> Items:
        return Items(tuple(self.node((*key, n), item) for n, item in enumerate(value)), self._said(key, value))


def merge(lower: Node, upper: Node, schema: Schema | None, default: Node | None = None) -> Node:
    """C(upper) over C(lower). C(default): what holds where the upper one takes away what was said."""
    if isinstance(upper, Leaf) and upper.gone:
        return _removed(lower, upper, default)
    if isinstance(upper, Branch) and merge_rule(schema) != "replace":
        # Over nothing too: what it says inside may have rules of its own.
        below = lower if isinstance(lower, Branch) else Branch({}, statements(lower))
        return merge_mappings(below, upper, schema, default)
    rule = list_rule(schema)
    if isinstance(upper, Items) and rule != "replace":
        base = lower if isinstance(lower, Items) and not upper.fresh else Items((), statements(lower))
        if rule.startswith("by_key:"):
            return _by_key(base, upper, rule.removeprefix("by_key:"), schema)
        return _joined(base, upper, distinct=rule == "union")
    return replace(upper, said=(*statements(lower), *upper.said))


def merge_mappings(lower: Branch, upper: Branch, schema: Schema | None, default: Node | None = None) -> Branch:
    """Key by key, as layers as a whole are merged."""
    defaults = default.members if isinstance(default, Branch) else {}
    members = dict(lower.members)
    for name, node in upper.members.items():
        below = members.get(name, Leaf((), gone=True))
        members[name] = merge(below, node, member(schema or {}, name), defaults.get(name))
    return Branch(members, (*lower.said, *upper.said))


def _removed(lower: Node, upper: Leaf, default: Node | None) -> Node:
    chain = (*statements(lower), *upper.said)
    if default is None:
        return Leaf(chain, gone=True)
    return replace(default, said=(*chain, *statements(default)))


def _joined(lower: Items, upper: Items, *, distinct: bool) -> Items:
    have = [plain(item) for item in lower.items] if distinct else []
    added = tuple(item for item in upper.items if plain(item) not in have)
    return Items((*lower.items, *added), (*lower.said, *upper.said))


def _by_key(lower: Items, upper: Items, name: str, schema: Schema | None) -> Items:
    """Items of one name become one, in the place of the first; new ones follow. An item that says so is taken away."""
    inner = (schema or {}).get("items")
    # The place stays when its item goes: another of that name in the same layer comes there.
    gone = Leaf((), gone=True)
    places: dict[Any, Node] = {}
    for number, item in enumerate((*lower.items, *upper.items)):
        identity = _identity(item, name, number)
        if isinstance(item, Branch) and plain(item.members.get(REMOVE, Leaf(()))) is True:
            places[identity] = gone
        else:
            places[identity] = merge(places.get(identity, gone), item, inner)
    return Items(tuple(node for node in places.values() if node is not gone), (*lower.said, *upper.said))


def _identity(item: Node, name: str, number: int) -> Any:
    found = plain(item.members[name]) if isinstance(item, Branch) and name in item.members else None
    return ("name", found) if isinstance(found, str | int) else ("number", number)


def plain(node: Node) -> Any:
    """The value of a tree, without what is gone; UNSET where all is."""
    if isinstance(node, Leaf):
        return UNSET if node.gone else node.value
    if isinstance(node, Items):
        return [value for item in node.items if (value := plain(item)) is not UNSET]
    found = {name: value for name, inner in node.members.items() if (value := plain(inner)) is not UNSET}
    # Where somebody, such as the default, said that there is a mapping, it stays when its last member goes.
    return UNSET if not found and node.members and not node.said else found


def statements(node: Node) -> tuple[Said, ...]:
    """Every statement in a tree, in the order of its places."""
    if isinstance(node, Branch):
        return (*node.said, *(said for inner in node.members.values() for said in statements(inner)))
    return node.said


def leaves(node: Node, key: Key = ()) -> Iterator[tuple[Key, Leaf | Items | Branch]]:
    """Every place that holds a value: single values, and lists and mappings that are empty."""
    if isinstance(node, Leaf):
        if not node.gone:
            yield key, node
    elif isinstance(node, Items):
        if not node.items:
            yield key, node
        for number, item in enumerate(node.items):
            yield from leaves(item, (*key, number))
    else:
        if plain(node) == {}:
            yield key, node
        for name, inner in node.members.items():
            yield from leaves(inner, (*key, name))


def find(node: Node, key: Key) -> Node | None:
    """The node of a place."""
    for part in key:
        if isinstance(node, Branch) and part in node.members:
            node = node.members[str(part)]
        elif isinstance(node, Items) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
        else:
            return None
    return node
