# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line out of its options and back: what of it can be given to another site."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Mapping
from pathlib import Path

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .._images.download import Downloader
from .._images.http import RequestsHttp, SystemClock
from .._images.unpack import MAX_IMAGE, file_key
from .._model.image import Digest, ResolvedImage
from .._model.recipe import recipe_digest
from .._plan.plan import OptionProblems
from .template_options import desired_line
from .template_spec import line_options

PORTABLE = (
    *("line", "image", "arch", "url", "checksum", "checksum_url", "image_format", "compression"),
    *("description", "disk", "cores", "sockets", "cpu", "memory", "balloon", "machine", "bios", "efi", "tpm", "scsihw"),
    *("ostype", "vga", "serial0", "agent", "ciupgrade", "citype", "customize", "bake_version"),
)
"""What is true of a line anywhere. Places, names, networks, users, keys and passwords are a site's own."""


def portable_options(given: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The declared options of a line that a bundle holds. Raises OptionProblems for what cannot be carried."""
    spec = line_options()
    found = {}
    for name in PORTABLE:
        value = _declared(given.get(name), spec[name])
        if value is not None and value != spec[name].get("default"):
            found[name] = value
    found.setdefault("arch", given.get("arch") or "x86_64")
    problems = list(_not_portable(found.get("customize") or {}))
    if problems:
        raise OptionProblems(tuple(problems))
    return found


def _declared(value: t.Any, spec: Mapping[str, t.Any]) -> t.Any:
    """A value without what was left to defaults, all the way down."""
    options = spec.get("options")
    if isinstance(value, Mapping) and options:
        inner = {name: _declared(value.get(name), options[name]) for name in options}
        return {name: item for name, item in inner.items() if item is not None and item != options[name].get("default")}
    if isinstance(value, list) and options:
        return [_declared(item, {**spec, "elements": None}) for item in value]
    return value


def _not_portable(customize: Mapping[str, t.Any]) -> t.Iterator[str]:
    for option, key in (("files", "src"), ("scripts", "src"), ("users", "passwd")):
        for number, one in enumerate(customize.get(option, ())):
            if key in one:
                why = "a password has no place in a bundle" if key == "passwd" else "write it as content"
                yield f"customize.{option}[{number}].{key}: it cannot go into a bundle; {why}"
    if customize.get("agent_packages"):
        yield "customize.agent_packages: files of this machine cannot go into a bundle; name packages instead"


def recipe_of(options: Mapping[str, t.Any], catalog_files: t.Sequence[str]) -> str:
    """The recipe digest of a line of these options. Raises OptionProblems with what is wrong with them."""
    unknown = sorted(set(options) - set(PORTABLE))
    if unknown:
        raise OptionProblems((f"line: it has options that no bundle holds: {', '.join(unknown)}",))
    place = {"node": "anywhere", "storage": "anywhere", "allow_eol": True, "allow_unverified": True}
    validated = ArgumentSpecValidator(line_options()).validate(
        {**options, **place, "catalog_files": list(catalog_files)}
    )
    if validated.error_messages:
        raise OptionProblems(tuple(f"line: {text}" for text in validated.error_messages))
    return recipe_digest(desired_line(validated.validated_parameters))


def catalog_text(entry: Mapping[str, t.Any], *, replaces: bool) -> bytes:
    """A catalogue file with this entry alone; JSON is YAML."""
    document = {"schema_version": 1, "images": [{**entry, **({"replaces": True} if replaces else {})}]}
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode()


def catalog_name(line: str) -> str:
    """How the catalogue file of an imported line is called."""
    return f"{line}.catalog.yml"


def fetcher_to(directory: Path) -> t.Callable[[str, Digest], Path]:
    """Gets files into a folder of this machine; what is there whole is not got again, what is cut off is completed."""

    def fetch(url: str, digest: Digest) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        part = directory / f"{file_key(digest)}.part"
        resolved = ResolvedImage(url=url, digest=digest, verification="pinned")
        http = RequestsHttp()
        Downloader(http=http, clock=SystemClock(), progress=lambda *_told: None, limit=MAX_IMAGE).run(resolved, part)
        return part

    return fetch
