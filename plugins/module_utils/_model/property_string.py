# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one engine for Proxmox VE's property strings: C(local-lvm:vm-9-disk-0,discard=on,size=3G).

Grammar after C(parse_property_string) in pve-common's JSONSchema.pm: pieces between commas, each C(key=value), or one
value without a key for the schema's default key; blank pieces mean nothing; a key may have aliases; no key twice.
Unlike there, an unknown key is kept, so that a newer server's options survive a change made by this code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

T = TypeVar("T")

_WORDS: dict[str, bool] = {"1": True, "on": True, "yes": True, "true": True}
_WORDS |= {"0": False, "off": False, "no": False, "false": False}
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_UNPRINTABLE = re.compile(r"[,\r\n]")


class PropertyStringError(ValueError):
    """A text that Proxmox VE would not take for this property string; the message says which piece and why."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """How one type of value is read and printed.

    C(read) raises ValueError with the reason. C(takes) is what C(replace) accepts. C(bare), where given, reads a
    value that stands without its key.
    """

    takes: tuple[type, ...]
    read: Callable[[str], T]
    write: Callable[[T], str]
    bare: Callable[[str], T] | None = None


def _read_bool(text: str) -> bool:
    value = _WORDS.get(text.lower())
    if value is None:
        raise ValueError(f"{text!r} is no boolean; it can be 1, on, yes, true, 0, off, no or false")
    return value


def _read_bare_bool(text: str) -> bool:
    # parse_property_string translates the words only behind a key; `agent: on` is refused by the server.
    if text not in ("0", "1"):
        raise ValueError(f"{text!r} is no boolean; without its key it can only be 0 or 1")
    return text == "1"


def _read_int(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


def _read_number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is no number")
    return float(text)


def _write_number(value: float) -> str:
    return repr(value).removesuffix(".0")


def _read_list(text: str) -> tuple[str, ...]:
    return tuple(text.replace(";", " ").split())


def _sendable(text: str) -> str:
    if not text or _UNPRINTABLE.search(text):
        raise ValueError(f"{text!r} cannot be sent: a value is not empty and has no comma or line break")
    return text


TEXT: Kind[str] = Kind((str,), str, str)
BOOL: Kind[bool] = Kind((bool,), _read_bool, lambda value: "1" if value else "0", _read_bare_bool)
INT: Kind[int] = Kind((int,), _read_int, str)
NUMBER: Kind[float] = Kind((int, float), _read_number, _write_number)
LIST: Kind[tuple[str, ...]] = Kind((tuple, list), _read_list, ";".join)


class Key(Generic[T]):
    """Declares one property of a property string; on an instance it is the typed value, or None where not set.

    C(key) defaults to the attribute's name. C(default) marks the key of the value that may stand without one.
    """

    def __init__(
        self,
        kind: Kind[T],
        key: str = "",
        *,
        aliases: Iterable[str] = (),
        default: bool = False,
        required: bool = False,
    ) -> None:
        self.kind = kind
        self.key = key
        self.aliases = tuple(aliases)
        self.default = default
        self.required = required

    def __set_name__(self, owner: type, name: str) -> None:
        self.key = self.key or name

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...

    @overload
    def __get__(self, obj: PropertyString, owner: type) -> T | None: ...

    def __get__(self, obj: PropertyString | None, owner: type) -> Self | T | None:
        if obj is None:
            return self
        part = obj.part(self.key)
        return None if part is None else self.read(part)

    def read(self, part: Part) -> T:
        """The typed value in C(part). Raises ValueError with the reason."""
        reader = self.kind.bare if part.key is None and self.kind.bare else self.kind.read
        return reader(part.values[self.key])

    def write(self, value: object) -> str:
        """The text of a typed value. Raises TypeError for another type, ValueError for a text that cannot be sent."""
        takes = self.kind.takes
        if not isinstance(value, takes) or (isinstance(value, bool) and bool not in takes):
            raise TypeError(f"takes {takes[0].__name__}, not {type(value).__name__}")
        text = _sendable(self.kind.write(value))  # type: ignore[arg-type]  # `takes` is the run-time form of T
        self.kind.read(text)
        return text


@dataclass(frozen=True, slots=True)
class Part:
    """One piece between commas: its exact text, the key as written (None without one), and the values it sets."""

    text: str
    key: str | None
    values: dict[str, str] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Fold:
    """Keys that set two properties at once: C(virtio=<mac>) is C(model=virtio,macaddr=<mac>) (C(keyAlias) there)."""

    keys: frozenset[str]
    key_sets: str
    value_sets: str


@dataclass(frozen=True, slots=True, repr=False)
class PropertyString:
    """Base of the codecs: C(parse) and C(str) are exact inverses; C(==) compares texts, C(same_as) meanings.

    A subclass declares its properties with C(Key) and is a frozen, slotted dataclass itself.
    Constructing one raises PropertyStringError for a known property whose value the server would refuse.
    """

    parts: tuple[Part, ...]

    NOUN: ClassVar[str] = "property string"
    FOLD: ClassVar[Fold | None] = None
    FIELDS: ClassVar[dict[str, Key[Any]]] = {}
    """Attribute name to declaration."""
    KEYS: ClassVar[dict[str, Key[Any]]] = {}
    """Key or alias to declaration."""

    def __init_subclass__(cls) -> None:
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Key)}
        cls.FIELDS = {**cls.FIELDS, **own}
        cls.KEYS = {key: declared for declared in cls.FIELDS.values() for key in (declared.key, *declared.aliases)}

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for part in self.parts:
            for key in part.values:
                if key in seen:
                    raise PropertyStringError(f"{self.NOUN}: {key!r} is set twice")
                seen.add(key)
                if key in self.KEYS:
                    self._checked(self.KEYS[key].read, key, part)
        for declared in self.FIELDS.values():
            if declared.required and declared.key not in seen:
                raise PropertyStringError(f"{self.NOUN}: {declared.key!r} is missing")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a property string. Raises PropertyStringError."""
        return cls(tuple(cls._part(piece) for piece in text.split(",")))

    @classmethod
    def of(cls, **fields: object) -> Self:
        """A new property string from typed values; the default key's value stands first, without its key."""
        first = {name: value for name, value in fields.items() if name in cls.FIELDS and cls.FIELDS[name].default}
        return cls(cls._changed((), {**first, **fields}))

    def __str__(self) -> str:
        return ",".join(part.text for part in self.parts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def replace(self, **fields: object) -> Self:
        """The same string with only these properties changed, by attribute name; None removes one.

        A new key is appended; a value that means the same keeps its text. Raises TypeError for an unknown name
        or a wrong type, PropertyStringError for a value that cannot be sent.
        """
        return type(self)(self._changed(self.parts, fields))

    def replace_texts(self, texts: Mapping[str, str | None]) -> Self:
        """Like C(replace), by Proxmox's own keys, known or unknown, and in texts. Raises PropertyStringError."""
        parts = self.parts
        for key, text in texts.items():
            sendable = None if text is None else self._checked(_sendable, key, text)
            parts = self._put(parts, self._canonical(key), sendable)
        return type(self)(parts)

    def get(self, key: str) -> str | None:
        """The text of a key as Proxmox names it, known or unknown, by its own name or an alias."""
        canonical = self._canonical(key)
        part = self.part(canonical)
        return None if part is None else part.values[canonical]

    def part(self, key: str) -> Part | None:
        """The piece that sets C(key)."""
        return next((part for part in self.parts if key in part.values), None)

    def meaning(self) -> dict[str, object]:
        """Key to value: typed for declared properties, text for the others."""
        return {
            key: self.KEYS[key].read(part) if key in self.KEYS else text
            for part in self.parts
            for key, text in part.values.items()
        }

    def same_as(self, other: PropertyString, *, ignore: Iterable[str] = ()) -> bool:
        """Whether both say the same, whatever the order and spelling; C(ignore) names attributes or keys.

        A missing key is not taken for its default: defaults change with the server's version.
        """
        if type(other) is not type(self):
            return False
        ignored = {self.FIELDS[name].key if name in self.FIELDS else self._canonical(name) for name in ignore}
        mine, theirs = self.meaning(), other.meaning()
        return all(mine.get(key) == theirs.get(key) for key in (mine.keys() | theirs.keys()) - ignored)

    @classmethod
    def _canonical(cls, key: str) -> str:
        return cls.KEYS[key].key if key in cls.KEYS else key

    @classmethod
    def _part(cls, piece: str) -> Part:
        if not piece.strip():
            return Part(piece, None, {})
        key, equals, value = piece.partition("=")
        if not equals:
            default = next((declared for declared in cls.FIELDS.values() if declared.default), None)
            if default is None:
                raise PropertyStringError(f"{cls.NOUN}: {piece!r} is a value without a key")
            return Part(piece, None, {default.key: piece})
        if not key or not value:
            raise PropertyStringError(f"{cls.NOUN}: {piece!r} has no {'value' if key else 'key'}")
        if cls.FOLD is not None and key in cls.FOLD.keys:
            return Part(piece, key, {cls.FOLD.key_sets: key, cls.FOLD.value_sets: value})
        return Part(piece, key, {cls._canonical(key): value})

    @classmethod
    def _checked(cls, call: Callable[[Any], T], key: str, argument: object) -> T:
        try:
            return call(argument)
        except ValueError as exc:
            raise PropertyStringError(f"{cls.NOUN} option {key!r}: {exc}") from exc
        except TypeError as exc:
            raise TypeError(f"{cls.NOUN} option {key!r} {exc}") from exc

    @classmethod
    def _changed(cls, parts: tuple[Part, ...], fields: dict[str, object]) -> tuple[Part, ...]:
        for name, value in fields.items():
            declared = cls.FIELDS.get(name)
            if declared is None:
                raise TypeError(f"{cls.NOUN} has no property {name!r}; it has {', '.join(cls.FIELDS)}")
            text = None if value is None else cls._checked(declared.write, declared.key, value)
            parts = cls._put(parts, declared.key, text)
        return parts

    @classmethod
    def _put(cls, parts: tuple[Part, ...], key: str, text: str | None) -> tuple[Part, ...]:
        declared = cls.KEYS.get(key)
        for index, part in enumerate(parts):
            if key not in part.values:
                continue
            old = part.values[key]
            if text == old or (
                text is not None and declared and declared.read(part) == cls._checked(declared.kind.read, key, text)
            ):
                return parts
            values = {name: text if name == key else value for name, value in part.values.items()}
            return (*parts[:index], *cls._spelled(part, values), *parts[index + 1 :])
        if text is None:
            return parts
        kept = parts if any(part.values for part in parts) else ()
        bare = declared is not None and declared.default and not kept and "=" not in text
        return (*kept, cls._part(text if bare else f"{key}={text}"))

    @classmethod
    def _spelled(cls, part: Part, changed: dict[str, str | None]) -> list[Part]:
        """The pieces that say C(changed) in the way C(part) was written."""
        values = {key: text for key, text in changed.items() if text is not None}
        fold = cls.FOLD
        if fold is not None and part.key in fold.keys:
            if values.get(fold.key_sets) in fold.keys and fold.value_sets in values:
                return [cls._part(f"{values[fold.key_sets]}={values[fold.value_sets]}")]
            spelled = {key: None if key == fold.key_sets else key for key in values}
        else:
            spelled = dict.fromkeys(values, part.key)
        return [
            cls._part(text if spelled[key] is None and "=" not in text else f"{spelled[key] or key}={text}")
            for key, text in values.items()
        ]
