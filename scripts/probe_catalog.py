# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask every URL of the catalogue on the real internet and print a table; exit 1 when something is broken.

Images are asked for their headers only. Sums files and index pages are read: they must parse and name the image.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

TREE = Path(__file__).resolve().parent.parent / ".venv" / "collections"
if str(TREE) not in sys.path:
    sys.path.insert(0, str(TREE))

from ansible_collections.homelab.proxmox.plugins.module_utils._images import catalog, errors, http, sums  # noqa: E402

if TYPE_CHECKING:
    from ansible_collections.homelab.proxmox.plugins.module_utils._model.image import CloudImage

WORKERS = 8
# Servers that answer so to HEAD may still serve the file.
_HEAD_REFUSED = frozenset({403, 405, 501})
_PLACEHOLDER = re.compile(r"\{\w+\}")
_HREF = re.compile(r"""href\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
_TEXT_KINDS = frozenset({"html-index", "gentoo-latest", "flatcar-version"})


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What one URL gave: C(error) is None when it is there, C(text) only where the content was read."""

    error: str | None
    text: bytes = b""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Each column is C(ok), C(-) for not applicable, or what is wrong."""

    id: str
    arch: str
    image: str
    sums: str
    signature: str
    key: str
    index: str

    @property
    def broken(self) -> bool:
        return any(text not in ("ok", "-") for text in dataclasses.astuple(self)[2:])


def urls_of(image: CloudImage) -> tuple[set[str], set[str]]:
    """(URLs to ask for, URLs to read)."""
    index = image.discovery.get("index")
    reads = {index} if index and image.discovery["kind"] in _TEXT_KINDS else set()
    asks = {index} if index else set()
    asks |= {image.url} if image.url else set()
    if image.sums and image.sums.format == "json":
        asks.add(image.sums.url)
    elif image.sums:
        reads.add(image.sums.url)
    if image.signature:
        asks |= {url for url in (image.signature.url, image.signature.key_url) if url}
    return {url for url in asks - reads if not _PLACEHOLDER.search(url)}, {
        url for url in reads if not _PLACEHOLDER.search(url)
    }


def ask(client: http.Http, url: str) -> Answer:
    """Whether the URL is there: HEAD, or a GET that is closed before its body where HEAD is refused."""
    try:
        status = client.head(url).status
        if status in _HEAD_REFUSED:
            with client.stream(url):
                return Answer(None)
    except errors.HttpStatus as exc:
        return Answer(f"HTTP {exc.status}")
    except errors.ImageError as exc:
        return Answer(f"{exc.kind}: {exc}")
    return Answer(None if status < 400 else f"HTTP {status}")


def read(client: http.Http, url: str) -> Answer:
    """The content of a small file."""
    try:
        return Answer(None, client.get_bytes(url, http.INDEX_LIMIT))
    except errors.HttpStatus as exc:
        return Answer(f"HTTP {exc.status}")
    except errors.ImageError as exc:
        return Answer(f"{exc.kind}: {exc}")


def fetch_all(client: http.Http, images: Sequence[CloudImage], workers: int) -> dict[str, Answer]:
    """Every URL once, C(workers) at a time."""
    asks: set[str] = set()
    reads: set[str] = set()
    for image in images:
        more_asks, more_reads = urls_of(image)
        asks |= more_asks
        reads |= more_reads
    jobs: list[tuple[Callable[[http.Http, str], Answer], str]] = [(read, url) for url in sorted(reads)]
    jobs += [(ask, url) for url in sorted(asks - reads)]
    with ThreadPoolExecutor(workers) as pool:
        answers = pool.map(lambda job: job[0](client, job[1]), jobs)
        return {url: answer for (_unused, url), answer in zip(jobs, answers, strict=True)}


def row_for(image: CloudImage, answers: Mapping[str, Answer]) -> Row:
    """The findings for one image."""
    signature = image.signature
    return Row(
        id=image.id,
        arch=image.arch,
        image=_there(image.url, answers),
        sums=_sums(image, answers),
        signature=_there(signature.url if signature else None, answers),
        key=_there(signature.key_url if signature else None, answers),
        index=_index(image, answers),
    )


def _there(url: str | None, answers: Mapping[str, Answer]) -> str:
    if url is None or url not in answers:
        return "-"
    return answers[url].error or "ok"


def _sums(image: CloudImage, answers: Mapping[str, Answer]) -> str:
    if image.sums is None or image.sums.url not in answers:
        return "-"
    answer = answers[image.sums.url]
    if answer.error or image.sums.format == "json":
        return answer.error or "ok"
    try:
        listed = sums.parse_sums(answer.text, algorithm_hint=image.sums.algorithm, source="the sums file")
        pattern = image.discovery.get("pattern")
        if pattern and image.discovery["kind"] in ("sums-alias", "sums-pattern", "name-in-sums"):
            return _matched(pattern, listed.names())
        # A file for one image alone may name the dated build while its URL is the alias.
        if image.url and len(listed.names()) > 1:
            listed.digest_for(image.url.rsplit("/", 1)[-1])
    except errors.SumsError as exc:
        return f"{exc.kind}: {exc}"
    return "ok"


def _index(image: CloudImage, answers: Mapping[str, Answer]) -> str:
    url = image.discovery.get("index")
    if url is None:
        return "-"
    answer = answers[url]
    pattern = image.discovery.get("pattern")
    if answer.error or not pattern:
        return answer.error or "ok"
    text = answer.text.decode("utf-8", "replace")
    names = _HREF.findall(text) if image.discovery["kind"] == "html-index" else text.split()
    return _matched(pattern, (name.rstrip("/").rsplit("/", 1)[-1] for name in names))


def _matched(pattern: str, names: Iterable[str]) -> str:
    return "ok" if any(re.fullmatch(pattern, name) for name in names) else f"no name matches {pattern}"


def print_table(rows: Sequence[Row], out: Callable[[str], Any] = print) -> None:
    """The table, the long texts of broken entries below it."""
    titles = [field.name for field in dataclasses.fields(Row)]
    cells = [
        [row.id, row.arch, *(text if text in ("ok", "-") else "BROKEN" for text in dataclasses.astuple(row)[2:])]
        for row in rows
    ]
    widths = [max(len(line[column]) for line in [titles, *cells]) for column in range(len(titles))]
    for line in [titles, *cells]:
        out("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    broken = [row for row in rows if row.broken]
    for row in broken:
        for name, text in list(dataclasses.asdict(row).items())[2:]:
            if text not in ("ok", "-"):
                out(f"{row.id} {row.arch}: {name}: {text}")
    out(f"{len(rows)} images, {len(broken)} broken")


def chosen(names: Sequence[str], files: Sequence[str]) -> list[CloudImage]:
    """The images of the catalogue, or the named ones. Raises CatalogError."""
    known = catalog.load_catalog(files)
    ids = [known.canonical(name) for name in names] or known.ids()
    return [known.get(name, arch) for name in ids for arch in known.architectures(name)]


def main(argv: Sequence[str] | None = None) -> int:
    """Probe and print; 1 when something is broken, 2 when the question was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--id", action="append", default=[], help="only this id or alias (may be repeated)")
    parser.add_argument("--file", action="append", default=[], help="also a catalogue file of your own")
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds for one answer (default 30)")
    parser.add_argument("--workers", type=int, default=WORKERS, help=f"questions at a time (default {WORKERS})")
    args = parser.parse_args(argv)
    try:
        images = chosen(args.id, args.file)
    except catalog.CatalogError as exc:
        print(exc, file=sys.stderr)
        return 2
    client = http.RequestsHttp(connect_timeout=args.timeout, read_timeout=args.timeout, retries=1)
    answers = fetch_all(client, images, args.workers)
    rows = [row_for(image, answers) for image in images]
    if args.json:
        print(json.dumps([{**dataclasses.asdict(row), "broken": row.broken} for row in rows], indent=2))
    else:
        print_table(rows)
    return 1 if any(row.broken for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
