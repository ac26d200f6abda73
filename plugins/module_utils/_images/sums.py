# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One parser for every vendor's sums file: tolerant in form, strict in meaning."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .._model.image import DIGEST_LENGTHS, Digest
from .errors import (
    BadClearsign,
    BadDigest,
    ConflictingDigests,
    HtmlInsteadOfSums,
    NameMissing,
    NoChecksums,
    NotText,
    NoUsableAlgorithm,
)

# Weakest first; the strongest one that a file gives for a name wins.
STRENGTH: tuple[str, ...] = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
_BY_LENGTH = {length: algorithm for algorithm, length in DIGEST_LENGTHS.items()}

_BEGIN_SIGNED = "-----BEGIN PGP SIGNED MESSAGE-----"
_BEGIN_SIGNATURE = "-----BEGIN PGP SIGNATURE-----"
# Armour headers that RFC 9580 §7.1 allows in a clearsigned text ("Hash"), and two that old writers add.
_ARMOUR_HEADER = re.compile(r"(Hash|Charset|Version|Comment|NotDashEscaped): ?.*")

_BSD = re.compile(r"([A-Za-z][A-Za-z0-9/_-]*) ?\((.+)\) ?= ?(\S*)")
_GNU = re.compile(r"([0-9A-Fa-f]{8,})\s+\*?(\S.*)")
_SECTION = re.compile(r"#\s*([A-Za-z][A-Za-z0-9/_-]*)\s+HASH\b.*", re.IGNORECASE)
_BARE = re.compile(r"[0-9A-Fa-f]{8,}")
_SIZE = re.compile(r"#\s*(\S+):\s*(\d+)\s+bytes\s*")
_HEX = re.compile(r"[0-9A-Fa-f]+")
_ALGORITHM_IN_NAME = re.compile(r"(md5|sha1|sha224|sha256|sha384|sha512|b2|blake2b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Claim:
    """One checksum line as it stands: C(algorithm) may be one that cannot be checked, C(value) may be damaged."""

    line: int
    name: str | None
    algorithm: str | None
    value: str

    def digest(self) -> Digest | None:
        """The claim as a digest; None when the algorithm is none of ours or the value does not fit it."""
        if self.algorithm is None or len(self.value) != DIGEST_LENGTHS.get(self.algorithm, 0):
            return None
        return Digest(self.algorithm, self.value) if _HEX.fullmatch(self.value) else None


@dataclass(frozen=True, slots=True)
class Sums:
    """What a sums file says. C(entries) maps each listed name to its digests; C(source) names the file in messages."""

    source: str
    claims: tuple[Claim, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Exact sizes in bytes from comments (C(# name: N bytes)); sizes given in K are not exact and left out."""
    unread: tuple[tuple[int, str], ...] = ()
    """Lines that are no checksum, with their numbers."""

    @property
    def entries(self) -> dict[str, frozenset[Digest]]:
        found: dict[str, set[Digest]] = {}
        for claim in self.claims:
            digest = claim.digest()
            if claim.name is not None and digest is not None:
                found.setdefault(_base(claim.name), set()).add(digest)
        return {name: frozenset(digests) for name, digests in found.items()}

    def names(self) -> tuple[str, ...]:
        """Every listed name without its directory, in the file's order, once."""
        return tuple(dict.fromkeys(_base(claim.name) for claim in self.claims if claim.name is not None))

    def digest_for(self, name: str, aliases: Iterable[str] = ()) -> Digest:
        """The strongest digest of C(name), which the lines of C(aliases) must not contradict.

        A file that holds a bare checksum and no name speaks of the file it belongs to. Raises NameMissing,
        ConflictingDigests, BadDigest or NoUsableAlgorithm.
        """
        wanted = {_base(name), *map(_base, aliases)}
        claims = [claim for claim in self.claims if claim.name is not None and _base(claim.name) in wanted]
        if not claims and not self.names():
            claims = list(self.claims)
        if not claims:
            raise NameMissing(self._missing(name))
        return self._strongest(name, claims)

    def size_of(self, name: str) -> int | None:
        """Bytes, where the file tells them exactly."""
        return self.sizes.get(_base(name))

    def _strongest(self, name: str, claims: list[Claim]) -> Digest:
        usable: dict[str, dict[str, Claim]] = {}
        for claim in claims:
            if claim.algorithm is not None and claim.algorithm not in DIGEST_LENGTHS:
                continue
            digest = claim.digest()
            if digest is None:
                raise BadDigest(self._bad(name, claim))
            usable.setdefault(digest.algorithm, {}).setdefault(digest.value, claim)
        if not usable:
            seen = ", ".join(sorted({claim.algorithm or "?" for claim in claims}))
            raise NoUsableAlgorithm(
                f"{self.source} lists {name} only with {seen}, which cannot be checked; "
                f"usable are {', '.join(STRENGTH)}"
            )
        for algorithm, values in usable.items():
            if len(values) > 1:
                told = "; ".join(f"line {claim.line}: {value}" for value, claim in list(values.items())[:4])
                raise ConflictingDigests(
                    f"{self.source} gives {name} {len(values)} different {algorithm} checksums ({told}); "
                    f"exactly one is right, so none is believed"
                )
        best = max(usable, key=STRENGTH.index)
        return Digest(best, next(iter(usable[best])))

    def _bad(self, name: str, claim: Claim) -> str:
        found = f"{self.source}, line {claim.line}: the checksum of {name} is {_quote(claim.value)}"
        if claim.value and not _HEX.fullmatch(claim.value):
            return f"{found}, which is not hexadecimal"
        if claim.algorithm is None:
            lengths = ", ".join(f"{length} ({algorithm})" for algorithm, length in DIGEST_LENGTHS.items())
            return f"{found}: {len(claim.value)} digits, but known checksums have {lengths}"
        needed = DIGEST_LENGTHS[claim.algorithm]
        return f"{found}: {len(claim.value)} hexadecimal digits, but {claim.algorithm} has {needed}"

    def _missing(self, name: str) -> str:
        names = self.names()
        near = difflib.get_close_matches(name, names, n=5, cutoff=0.5) or list(names[:5])
        text = f"{self.source} does not list {name}; it lists {len(names)} names"
        if near:
            text += f", nearest: {', '.join(near)}"
        for number, line in self.unread:
            if _base(name) in line:
                return f"{text}. Line {number} mentions it but holds no checksum: {_quote(line)}"
        return text


def decode(raw: bytes, *, source: str = "the sums file") -> str:
    """Bytes to text: UTF-8 with or without a byte order mark. Raises NotText."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise NotText(
            f"{source} is not a text file (byte {exc.start} is no UTF-8); a list of checksums was expected"
        ) from exc
    if "\0" in text:
        raise NotText(f"{source} is not a text file (it holds NUL bytes); a list of checksums was expected")
    return text


def is_clearsigned(text: str) -> bool:
    """Whether a line of the text begins a clearsigned message."""
    return any(line.rstrip() == _BEGIN_SIGNED for line in text.splitlines())


def cleartext_of(text: str, *, source: str = "the sums file") -> str:
    """The signed text between the markers, dash-unescaped; a text without markers as it is.

    It verifies nothing: where a signature was verified, use what gpgv wrote. Raises BadClearsign.
    """
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.rstrip() == _BEGIN_SIGNED]
    if not starts:
        return text
    ends = [number for number, line in enumerate(lines) if line.rstrip() == _BEGIN_SIGNATURE]
    if len(starts) != 1 or len(ends) != 1 or ends[0] < starts[0]:
        raise BadClearsign(
            f"{source} is clearsigned but has {len(starts)} begin and {len(ends)} signature markers in the wrong order "
            f"or number; one signed text followed by one signature is right"
        )
    body = lines[starts[0] + 1 : ends[0]]
    for number, line in enumerate(body):
        if not line.strip():
            return "\n".join(item.removeprefix("- ") for item in body[number + 1 :]) + "\n"
        if not _ARMOUR_HEADER.fullmatch(line.rstrip()):
            raise BadClearsign(
                f"{source}: {_quote(line)} stands where only armour headers such as 'Hash: SHA256' may be"
            )
    raise BadClearsign(f"{source} is clearsigned but the empty line between its headers and the text is missing")


def refuse_html(text: str, *, source: str) -> None:
    """Raises HtmlInsteadOfSums when the text is a web page or an XML error document."""
    head = text.lstrip("\ufeff \t\r\n")[:512].lower()
    if head.startswith(("<!doctype", "<html", "<head", "<?xml", "<!--", "<error", "<body")) or "<html" in head:
        title = re.search(r"<(?:title|code|h1)>\s*([^<]{1,80})", text[:4096], re.IGNORECASE)
        said = f" titled {_quote(title.group(1).strip())}" if title else ""
        raise HtmlInsteadOfSums(
            f"{source} is a web page{said}, not a file of checksums; the server answered with an error or login page, "
            f"or the URL points to a directory"
        )


def parse_sums(text: str | bytes, *, algorithm_hint: str | None = None, source: str = "the sums file") -> Sums:
    """Read a sums file of any form: GNU, binary GNU, BSD, clearsigned, bare checksum, C(.DIGESTS) sections.

    C(algorithm_hint) is for lines that name no algorithm; without it their length tells. Damaged lines are kept as
    claims and refused only when they concern the name asked for. Raises HtmlInsteadOfSums, NotText, BadClearsign or
    NoChecksums.
    """
    text = decode(text, source=source) if isinstance(text, bytes) else text.removeprefix("\ufeff")
    refuse_html(text, source=source)
    claims: list[Claim] = []
    sizes: dict[str, int] = {}
    unread: list[tuple[int, str]] = []
    section = algorithm_hint and _algorithm(algorithm_hint)
    for number, line in _lines(cleartext_of(text, source=source)):
        if line.startswith("#"):
            if match := _SECTION.fullmatch(line):
                section = _algorithm(match.group(1))
            elif match := _SIZE.fullmatch(line):
                sizes[_base(match.group(1))] = int(match.group(2)) if len(match.group(2)) < 20 else 0
            continue
        claim = _claim(number, line, section)
        if claim is None:
            unread.append((number, line))
        else:
            claims.append(claim)
    if not claims:
        first = f"; it begins with {_quote(unread[0][1])}" if unread else "; it is empty"
        raise NoChecksums(f"{source} holds no checksum{first}. Lines such as '<hex>  <name>' were expected")
    return Sums(source, tuple(claims), {name: size for name, size in sizes.items() if size}, tuple(unread))


def algorithm_from_name(name: str) -> str | None:
    """The algorithm that a sums file's own name tells: C(SHA256SUMS), C(x.qcow2.sha512), C(CHECKSUM.SHA512)."""
    matches = _ALGORITHM_IN_NAME.findall(_base(name))
    return _algorithm(matches[-1]) if matches else None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if stripped := line.strip():
            yield number, stripped


def _claim(number: int, line: str, section: str | None) -> Claim | None:
    if match := _BSD.fullmatch(line):
        return Claim(number, match.group(2).strip(), _algorithm(match.group(1)), match.group(3).lower())
    if match := _GNU.fullmatch(line):
        value = match.group(1).lower()
        return Claim(number, match.group(2), section or _BY_LENGTH.get(len(value)), value)
    if _BARE.fullmatch(line):
        return Claim(number, None, section or _BY_LENGTH.get(len(line)), line.lower())
    return None


def _algorithm(label: str) -> str:
    """C(SHA256), C(SHA-256), C(SHA2-256) and C(sha256sum) are one thing; a foreign label stays as it is, lower-case."""
    name = label.lower().removesuffix("sum").replace("_", "-")
    plain = name.replace("sha2-", "sha").replace("sha-", "sha").replace("md-5", "md5")
    return plain if plain in DIGEST_LENGTHS else {"b2": "blake2b"}.get(plain, name)


def _base(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _quote(text: str, limit: int = 80) -> str:
    return repr(text if len(text) <= limit else text[:limit] + "…")
