# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How C(latest) becomes one build: the discovery kinds that catalogue entries name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from .._model.image import CloudImage, Digest
from . import indexes
from .errors import DiscoveryError, NameMissing
from .http import INDEX_LIMIT, Http
from .sums import Sums, decode
from .urls import directory_of, display_url, name_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One build of an image, before its checksum is known. C(digest) is what an index says, to be compared."""

    url: str
    build: str | None = None
    digest: Digest | None = None
    size: int | None = None
    signature_url: str | None = None
    aliases: tuple[str, ...] = ()
    """Other names of the same file in the sums file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a kind needs: C(read_sums) gives a verified sums file, C(read_signed) the text of a clearsigned file."""

    image: CloudImage
    http: Http
    read_sums: Callable[[str], Sums]
    read_signed: Callable[[str], str]
    wanted: str | None

    def argument(self, key: str) -> str:
        value = self.image.discovery.get(key)
        if value is None:
            raise DiscoveryError(
                f"{self.image.id}: discovery {self.image.discovery.get('kind')} needs the argument {key!r}"
            )
        return value

    def index(self) -> tuple[bytes, str]:
        url = self.argument("index")
        return self.http.get_bytes(url, INDEX_LIMIT), display_url(url)

    @property
    def sums_url(self) -> str:
        if self.image.sums is None:
            raise DiscoveryError(f"{self.image.id}: its builds are found in a sums file, but it names none")
        return self.image.sums.url

    def url_of(self, directory: str, name: str, build: str) -> str:
        """The dated URL: by template, else the name in the directory of what listed it."""
        template = self.image.discovery.get("url")
        return fill(template, build=build, name=name) if template else f"{directory}/{name}"


def discover(request: Request) -> Build:
    """Find the newest build, or the wanted one. Raises DiscoveryError, SumsError or SourceError."""
    kind = request.image.discovery.get("kind", "none")
    if kind not in _KINDS:
        raise DiscoveryError(f"{request.image.id}: unknown discovery kind {kind!r}; known: {', '.join(sorted(_KINDS))}")
    return _KINDS[kind](request)


def fill(template: str, *, build: str | None = None, name: str | None = None, url: str | None = None) -> str:
    """Fill C({build}), C({name}), C({url}) and C({dir}) in a template. Raises DiscoveryError for what is not known."""
    values = {"build": build, "name": name or (name_of(url) if url else None), "url": url}
    values["dir"] = directory_of(url) if url else None

    def value(match: re.Match[str]) -> str:
        found = values[match.group(1)]
        if found is None:
            raise DiscoveryError(f"the template {template!r} needs {{{match.group(1)}}}, which is not known here")
        return found

    return re.sub(r"\{(build|name|url|dir)\}", value, template)


def version_key(build: str) -> tuple[tuple[int, ...], str]:
    """Builds compare by their runs of digits as numbers: C(14.10) is newer than C(14.9)."""
    return tuple(int(digits[:100]) for digits in re.findall(r"[0-9]+", build)), build


def matching(names: Iterable[str], pattern: str) -> dict[str, str]:
    """Name to build (the pattern's groups joined by C(-)) for each name that the whole pattern matches."""
    try:
        regex = re.compile(pattern)
    except re.error as exc:
        raise DiscoveryError(f"the pattern {pattern!r} is no regular expression: {exc}") from exc
    found = ((name, regex.fullmatch(name)) for name in names)
    return {name: "-".join(filter(None, match.groups())) for name, match in found if match}


def _choose(builds: Mapping[str, str], request: Request, source: str) -> str:
    """The name whose build is wanted, else the newest. Of two names with one build the last in order is taken."""
    if not builds:
        raise DiscoveryError(
            f"{request.image.id}: {source} lists nothing that matches {request.image.discovery.get('pattern')!r}; "
            f"the vendor has probably changed the names, so the catalogue entry needs a new pattern"
        )
    if request.wanted is None:
        return max(builds, key=lambda name: (version_key(builds[name]), name))
    for name, build in builds.items():
        if build == request.wanted:
            return name
    newest = sorted(builds.values(), key=version_key, reverse=True)[:5]
    raise DiscoveryError(
        f"{request.image.id}: {source} has no build {request.wanted}; it has {', '.join(newest)}. "
        f"Vendors remove old builds after some months"
    )


def _fixed(request: Request) -> Build:
    image = request.image
    if image.url is None:
        raise DiscoveryError(
            f"{image.id} has no public URL (a login is needed, or none is known); download it and "
            f"name your copy as the URL"
        )
    if request.wanted is not None:
        raise DiscoveryError(
            f"{image.id} has one fixed URL, so no build can be chosen; {request.wanted!r} was asked for"
        )
    return Build(url=image.url)


def _sums_alias(request: Request) -> Build:
    url = request.sums_url
    sums = request.read_sums(url)
    source, alias = display_url(url), name_of(request.image.url or "")
    builds = matching(sums.names(), request.argument("pattern"))
    listed = alias in sums.names()
    if listed and request.wanted is None:
        digest = sums.digest_for(alias)
        builds = {name: build for name, build in builds.items() if digest in sums.entries.get(name, ())}
        if not builds:
            raise DiscoveryError(
                f"{request.image.id}: {source} gives no dated name the checksum of {alias} ({digest}), "
                f"so its build is unknown"
            )
    name = _choose(builds, request, source)
    same = (alias,) if listed and request.wanted is None else ()
    return Build(url=request.url_of(directory_of(url), name, builds[name]), build=builds[name], aliases=same)


def _sums_pattern(request: Request) -> Build:
    url = request.sums_url
    builds = matching(request.read_sums(url).names(), request.argument("pattern"))
    name = _choose(builds, request, display_url(url))
    return Build(url=request.url_of(directory_of(url), name, builds[name]), build=builds[name], aliases=(name,))


def _ubuntu(request: Request) -> Build:
    raw, source = request.index()
    document = indexes.read_json(raw, source=source)
    found = indexes.ubuntu_simplestreams(document, request.argument("product"), request.argument("item"), source=source)
    by_build = {item.build: item for item in found}
    chosen = by_build[_choose({build: build for build in by_build}, request, source)]
    url = fill(request.argument("url"), build=chosen.build)
    return Build(url=url, build=chosen.build, digest=chosen.digest, size=chosen.size)


def _debian(request: Request) -> Build:
    if request.wanted is not None:  # the index knows only the newest build; older ones stay for some months
        return Build(url=fill(request.argument("url"), build=request.wanted), build=request.wanted)
    raw, source = request.index()
    found = indexes.debian_manifest(indexes.read_json(raw, source=source), request.image.format, source=source)
    return Build(url=fill(request.argument("url"), build=found.build), build=found.build, digest=found.digest)


def _fedora(request: Request) -> Build:
    raw, source = request.index()
    found = indexes.fedora_releases(
        indexes.read_json(raw, source=source),
        version=request.argument("version"),
        arch=request.image.arch,
        subvariant=request.argument("subvariant"),
        prefix=request.argument("prefix"),
        suffix=request.argument("suffix"),
        source=source,
    )
    by_build = {item.build: item for item in found}
    return _from_index(by_build[_choose({build: build for build in by_build}, request, source)])


def _coreos(request: Request) -> Build:
    raw, source = request.index()
    found = indexes.coreos_stream(
        indexes.read_json(raw, source=source),
        request.image.arch,
        request.argument("artifact"),
        request.argument("format"),
        source=source,
    )
    _choose({found.build: found.build}, request, source)
    return _from_index(found)


def _oracle(request: Request) -> Build:
    raw, source = request.index()
    found = indexes.oracle_template(indexes.read_json(raw, source=source), request.argument("key"), source=source)
    _choose({found.build: found.build}, request, source)
    return _from_index(found)


def _flatcar(request: Request) -> Build:
    build = request.wanted
    if build is None:
        raw, source = request.index()
        build = indexes.flatcar_version(decode(raw, source=source), source=source)
    return Build(url=fill(request.argument("url"), build=build), build=build)


def _html_index(request: Request) -> Build:
    raw, source = request.index()
    builds = matching(indexes.directory_names(decode(raw, source=source)), request.argument("pattern"))
    name = _choose(builds, request, source)
    return Build(url=request.url_of(directory_of(request.argument("index")), name, builds[name]), build=builds[name])


def _gentoo(request: Request) -> Build:
    if request.wanted is not None:
        return Build(url=fill(request.argument("url"), build=request.wanted), build=request.wanted)
    url = request.argument("index")
    source = display_url(url)
    sizes = indexes.gentoo_latest(request.read_signed(url), source=source)
    builds = matching(sizes, request.argument("pattern"))
    name = _choose(builds, request, source)
    dated = request.url_of(directory_of(url), name, builds[name])
    return Build(url=dated, build=builds[name], size=sizes[name])


def _from_index(found: indexes.Found) -> Build:
    if found.where is None:
        raise NameMissing(f"the index gives no URL for the build {found.build}")
    return Build(
        url=found.where, build=found.build, digest=found.digest, size=found.size, signature_url=found.signature
    )


_KINDS: dict[str, Callable[[Request], Build]] = {
    "none": _fixed,
    "sums-alias": _sums_alias,
    "sums-pattern": _sums_pattern,
    "name-in-sums": _sums_pattern,
    "ubuntu-simplestreams": _ubuntu,
    "debian-json": _debian,
    "fedora-releases": _fedora,
    "coreos-stream": _coreos,
    "oracle-template": _oracle,
    "flatcar-version": _flatcar,
    "html-index": _html_index,
    "gentoo-latest": _gentoo,
}
