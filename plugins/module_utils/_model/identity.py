# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a VM is: the identity block in its description and the tags that mirror it.

The cluster is the database. A generation carries the block below the human text of its description; the part that every
run needs stands in its tags, which /cluster/resources gives for the whole cluster. A clone made by hand inherits both,
so a VM is ours only when the block names the VM's own VMID.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

from .image import Digest

SCHEMA = 1
DESCRIPTION_LIMIT = 8192  # characters; PVE::QemuServer refuses one more with a 400

_FENCE = re.compile(r"^```homelab[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LINE = re.compile(r"([a-z_]+): ?(.*)")

LINE_PATTERN = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,46}[a-z0-9])?")
"""A line's name is part of a DNS name (the VM's) and of a tag."""

TAG_LINE = "line-"
TAG_GENERATION = "gen-"
TAG_RECIPE = "recipe-"
TAG_STATE = "state-"
RESERVED_PREFIXES = (TAG_LINE, TAG_GENERATION, TAG_RECIPE, TAG_STATE)
TAG_CLONE = TAG_STATE + "clone"
"""What our clones carry instead of their template's state. It is no state, so nobody takes one for a generation."""


class Role(StrEnum):
    """What a VM of ours is for."""

    TEMPLATE = "template"
    BUILDER = "builder"
    CLONE = "clone"
    PROOF = "proof"
    """A clone that lives as long as the proof of its template."""


class State(StrEnum):
    """Where a generation stands in its life."""

    BUILDING = "building"
    CANDIDATE = "candidate"
    CURRENT = "current"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The machine-readable block. Times are UTC in ISO form; empty texts mean unknown or not yet."""

    vmid: int
    role: Role
    line: str
    generation: str
    image: str = ""
    """Catalogue id, or empty for an image of one's own."""
    url: str = ""
    source: str = ""
    """Digest of the vendor's file, C(sha256:<hex>)."""
    source_build: str = ""
    verification: str = ""
    recipe: str = ""
    recipe_schema: int = 0
    builder: str = ""
    """Collection name and version that built it."""
    built: str = ""
    run: str = ""
    deadline: str = ""
    """While building: when another run may take over."""
    proof: str = ""
    withdrawn: str = ""
    """When the line was rolled back from this generation: its build is not made again."""
    restored: str = ""
    """The backup that it was restored from, as its storage called it; empty for what was built here."""
    origin: str = ""
    """Of a clone: the VMID of the template that it was cloned from."""
    bake: str = ""
    """The C(bake_version) of what roles have added."""
    paused: str = ""
    """While building: what the builder was stopped before. It waits for its roles, and no process stands behind it."""

    def render(self) -> str:
        """The fenced block, one C(key: value) per line, empty values left out."""
        lines = [f"schema: {SCHEMA}"]
        for item in fields(self):
            # A line break in a value would end it, or the fence.
            value = _CONTROL.sub(" ", str(getattr(self, item.name))).strip()
            if value and not (item.name == "recipe_schema" and value == "0"):
                lines.append(f"{item.name}: {value}")
        return "```homelab\n" + "\n".join(lines) + "\n```"


@dataclass(frozen=True, slots=True)
class Foreign:
    """A VM that looks like ours and is not: it is reported, never planned, never deleted."""

    reason: str


def describe(human: str, identity: Identity) -> str:
    """Human text and block as one description. Raises ValueError when Proxmox would refuse its length."""
    text = human.replace("\r\n", "\n").strip()
    whole = f"{text}\n\n{identity.render()}" if text else identity.render()
    if len(whole) > DESCRIPTION_LIMIT:
        raise ValueError(
            f"the description has {len(text)} characters; with the identity block it would be {len(whole)}, "
            f"Proxmox VE stores {DESCRIPTION_LIMIT} at most"
        )
    return whole


def human_text(description: str) -> str:
    """The description without the block."""
    return _FENCE.sub("", description.replace("\r\n", "\n")).strip()


def read_identity(vmid: int, description: str) -> Identity | Foreign | None:
    """The identity that a description claims for this VMID: ours, foreign with the reason, or None without a block."""
    blocks = _FENCE.findall(description.replace("\r\n", "\n"))
    if not blocks:
        return Foreign("its identity block is cut off") if "```homelab" in description else None
    if len(blocks) > 1:
        return Foreign("it has more than one identity block")
    identity = _parse(blocks[0])
    if isinstance(identity, Identity) and identity.vmid != vmid:
        return Foreign(f"its identity block was inherited from VM {identity.vmid}")
    return identity


def inherited_identity(description: str) -> Identity | None:
    """The identity of the template that a clone made by hand has inherited, None where there is none to be read."""
    blocks = _FENCE.findall(description.replace("\r\n", "\n"))
    identity = _parse(blocks[0]) if len(blocks) == 1 else None
    return identity if isinstance(identity, Identity) else None


def _parse(block: str) -> Identity | Foreign:
    values = _values(block)
    if values is None:
        return Foreign("its identity block is damaged")
    schema = values.pop("schema", "")
    if not schema.isdigit():
        return Foreign("its identity block is damaged: no schema number")
    if int(schema) > SCHEMA:
        return Foreign(f"its identity block has schema {schema}, newer than this collection's {SCHEMA}")
    return _identity(values)


def _values(block: str) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for line in block.splitlines():
        match = _LINE.fullmatch(line.rstrip())
        if match is None or match[1] in values:
            return None
        values[match[1]] = match[2].strip()
    return values


def _identity(values: Mapping[str, str]) -> Identity | Foreign:
    known = {item.name for item in fields(Identity)}
    texts = {key: value for key, value in values.items() if key in known}
    if texts.get("role") == Role.CLONE:
        # A clone of a template that is none of ours has neither.
        texts = {"line": "", "generation": "", **texts}
    try:
        if texts.get("source"):
            Digest.parse(texts["source"])
        return Identity(
            vmid=int(texts.pop("vmid")),
            role=Role(texts.pop("role")),
            line=texts.pop("line"),
            generation=texts.pop("generation"),
            recipe_schema=int(texts.pop("recipe_schema", "0")),
            **texts,
        )
    except KeyError as missing:
        return Foreign(f"its identity block is damaged: no {missing.args[0]}")
    except ValueError as error:
        return Foreign(f"its identity block is damaged: {error}")


def short_recipe(digest: str) -> str:
    """What of a recipe digest stands in a tag."""
    return digest.rpartition(":")[2][:12]


def identity_tags(identity: Identity, state: State) -> frozenset[str]:
    """The tags that mirror an identity."""
    tags = {TAG_LINE + identity.line, TAG_GENERATION + identity.generation, TAG_STATE + state}
    if identity.recipe:
        tags.add(TAG_RECIPE + short_recipe(identity.recipe))
    return frozenset(tags)


def clone_tags(identity: Identity) -> frozenset[str]:
    """The tags of a clone of ours. Line and generation are those of its template: on LVM-thin nothing else tells."""
    tags = {TAG_CLONE}
    if identity.line:
        tags.add(TAG_LINE + identity.line)
    if identity.generation:
        tags.add(TAG_GENERATION + identity.generation)
    return frozenset(tags)


def user_tags(tags: Iterable[str]) -> frozenset[str]:
    """The tags that are not ours."""
    return frozenset(tag for tag in tags if not tag.startswith(RESERVED_PREFIXES))


def tag_value(tags: Iterable[str], prefix: str) -> str:
    """The value behind a prefix, empty when there is none or more than one."""
    values = [tag[len(prefix) :] for tag in tags if tag.startswith(prefix)]
    return values[0] if len(values) == 1 else ""


def tagged_state(tags: Iterable[str]) -> State | None:
    """The state that the tags say, None for none, two or an unknown one."""
    try:
        return State(tag_value(tags, TAG_STATE))
    except ValueError:
        return None
