# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the configuration: sections, options, and forms made from the schema."""

from __future__ import annotations

from ..._actions.model import Parameter
from ..._actions.values import KINDS, text, typed
from ..._config import schema as schemas
from ..._config.change import Change, Site, carry_out
from ..._config.load import Effective, load
from ..._config.operations import set_values
from ..._config.problems import ConfigError
from ..configuring import difference
from ..context import Context
from .forms import edit
from .screens import Front, lettered

LAYER = "system"
_DEEP = "(edit the file)"


class ConfigPages:
    """The configuration on the screen. Changes go into the system's file."""

    def __init__(self, context: Context, front: Front) -> None:
        self._context, self._front = context, front

    def open(self) -> None:
        """The sections."""
        at = ""
        while True:
            effective = self._load()
            head = "Nothing is wrong with it." if not effective.problems else str(effective.problems[0])
            labels = [(name, str(one.get("title", name))) for name, one in schemas.SECTIONS.items()]
            chosen = self._front.choose("Configuration", head, lettered(labels), start=at)
            if chosen is None:
                return
            at = chosen
            self._section(chosen)

    def _section(self, section: str) -> None:
        at = ""
        while True:
            effective = self._load()
            about = schemas.SECTIONS[section]
            options = schemas.options(section)
            labels = [(one.key, f"{one.title}: {self._value(effective, one)}") for one in options]
            chosen = self._front.choose(
                str(about.get("title", section)), str(about.get("description", "")), lettered(labels), start=at
            )
            if chosen is None:
                return
            at = chosen
            self._option(next(one for one in options if one.key == chosen))

    def _option(self, option: schemas.Option) -> None:
        ways = [("change", "Change it")] if _is_flat(option) and not option.once else []
        ways += [("explain", "Say where it comes from"), ("reset", "Say nothing of it here")]
        chosen = self._front.choose(option.title, option.help, lettered(ways))
        if chosen == "explain":
            lines = [f"{one.layer}: {one.source}\n  {one.value}" for one in self._load().explain(option.key)]
            self._front.show(option.key, "\n".join(lines) or "Nothing says anything of it.")
        elif chosen == "reset":
            self._write(lambda site: set_values(site, LAYER, absent=[option.key]))
        elif chosen == "change":
            self._change(option)

    def _change(self, option: schemas.Option) -> None:
        effective = self._load()
        found = schemas.UNSET if option.secret else effective.value(option.key)
        parameter = Parameter(
            name=option.key,
            variable=option.key,
            title=option.title,
            help=option.help,
            schema=option.schema,
            secret=option.secret,
        )
        said = edit(self._front, parameter, "" if found is schemas.UNSET else text(found))
        if said is None:
            return
        if not said:
            self._write(lambda site: set_values(site, LAYER, absent=[option.key]))
            return
        section, _dot, name = option.key.partition(".")
        value = typed(option.schema, said)
        self._write(lambda site: set_values(site, LAYER, {section: {name: value}}))

    def _write(self, decide) -> None:  # type: ignore[no-untyped-def]
        site = Site(self._context.paths, self._context.environ)
        try:
            change: Change = decide(site)
            if change.problems:
                raise ConfigError(change.problems)
            if not change.texts:
                return
            if self._front.confirm("Write it?", "\n".join(difference(change)), default=True):
                carry_out(site, "system", lambda: decide(site))
        except ConfigError as error:
            self._front.show("It was not written", str(error))
        except OSError as error:
            self._front.show("It was not written", f"{error.filename}: {error.strerror}")

    def _load(self) -> Effective:
        return load(self._context.paths, self._context.environ)

    def _value(self, effective: Effective, option: schemas.Option) -> str:
        shown = effective.shown(option.key)
        if not _is_flat(option):
            return _DEEP if shown in (None, schemas.UNSET) else f"{len(shown)} entries {_DEEP}"
        return "(not set)" if shown in (None, schemas.UNSET) else text(shown) or '""'


def _is_flat(option: schemas.Option) -> bool:
    """Whether it can be typed into one line."""
    if option.type == "array":
        items = option.schema.get("items", {})
        return items.get("type") in KINDS and items.get("type") != "array"
    return option.type in KINDS
