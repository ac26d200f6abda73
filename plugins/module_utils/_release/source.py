# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release is made of: the files of the collection that are shipped, its version, its commit."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import ReleaseError

# What galaxy.yml leaves in the artifact; a test compares the two.
FOLDERS = ("changelogs", "docs", "inventory", "meta", "playbooks", "plugins", "roles")
FILES = ("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "bootstrap.sh")
# A checkout has the first, an artifact the others. They say the same in other words and are not part of the digest.
METADATA = ("galaxy.yml", "MANIFEST.json", "FILES.json")
# A release below /opt/homelab/releases: collections/ansible_collections/homelab/proxmox.
DEPTH = 4
RECORD = "release.json"
SHORT = 12

_VERSION = re.compile(r"^version:\s*[\"']?([0-9A-Za-z.+-]+)", re.MULTILINE)
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class Source:
    """C(commit) is empty where nobody knows it; C(digest) is over names and contents of all files."""

    folder: Path
    version: str
    commit: str
    digest: str

    @property
    def name(self) -> str:
        """The folder of its release: a commit says more, but a digest is always there."""
        return f"{self.version}-{(self.commit or self.digest)[:SHORT]}"


def look(folder: Path, commit: str = "") -> Source:
    """Identify a checkout, an unpacked artifact, or an installed release. Raises ReleaseError."""
    folder = folder.resolve()
    if commit and not _COMMIT.fullmatch(commit):
        raise ReleaseError(f"commit={commit} is no commit: 40 hexadecimal digits are")
    version = _version(folder)
    digest = digest_of(folder)
    return Source(folder, version, commit or _recorded(folder, digest) or _checked_out(folder), digest)


def files(folder: Path) -> Iterator[Path]:
    """All files that are shipped, relative and sorted, without METADATA. Raises ReleaseError for a symbolic link."""
    found = [Path(name) for name in FILES if (folder / name).is_file()]
    for top in FOLDERS:
        for path, folders, names in os.walk(folder / top):
            folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
            found += [
                Path(path, name).relative_to(folder)
                for name in names
                if not name.startswith(".") and not name.endswith((".pyc", ".pyo"))
            ]
    for name in sorted(found):
        if (folder / name).is_symlink():
            raise ReleaseError(f"{folder / name} is a symbolic link; a release holds plain files only")
        yield name


def digest_of(folder: Path) -> str:
    """A SHA-256 over the names and contents of all files."""
    whole = hashlib.sha256()
    for name in files(folder):
        with (folder / name).open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(f"{content}  {name.as_posix()}\n".encode())
    return whole.hexdigest()


def _version(folder: Path) -> str:
    manifest, galaxy = folder / "MANIFEST.json", folder / "galaxy.yml"
    try:
        if manifest.is_file():
            version = json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"]
        elif galaxy.is_file() and (match := _VERSION.search(galaxy.read_text(encoding="utf-8"))):
            version = match[1]
        else:
            raise ReleaseError(
                f"{folder} is no collection: it has neither MANIFEST.json nor a galaxy.yml with a version"
            )
    except (ValueError, KeyError, TypeError) as exc:
        raise ReleaseError(f"{manifest} is no manifest of a collection: {exc!r}") from exc
    # It becomes the name of a folder.
    if not isinstance(version, str) or not re.fullmatch(r"[0-9][0-9A-Za-z.+-]*", version):
        raise ReleaseError(f"{folder} has the version {version!r}; one like 1.2.3 is expected")
    return version


def _recorded(folder: Path, digest: str) -> str:
    """The commit, where C(folder) lies inside of a release and nobody has changed it since."""
    if len(folder.parents) < DEPTH:
        return ""
    try:
        record = json.loads((folder.parents[DEPTH - 1] / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    if not isinstance(record, dict) or record.get("digest") != digest:
        return ""
    return str(record.get("commit") or "")


def _checked_out(folder: Path) -> str:
    """The commit of a checkout in which no shipped file differs from it."""
    if not (folder / ".git").exists():
        return ""
    # root looks at a checkout of somebody else, which git refuses otherwise. Its hooks are not wanted.
    git = ["git", "--no-optional-locks", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(folder)]
    try:
        status = subprocess.run(
            [*git, "status", "--porcelain", "--no-renames"], capture_output=True, text=True, check=True
        ).stdout
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
    changed = {line[3:].split("/")[0].strip('"') for line in status.splitlines()}
    return "" if changed & {*FOLDERS, *FILES, "galaxy.yml"} or not _COMMIT.fullmatch(head) else head


def pack(source: Source, target: Path) -> None:
    """Write an archive of a collection, the same bytes for the same files."""
    names = [*files(source.folder), *(Path(name) for name in METADATA if (source.folder / name).is_file())]
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in names:
            info = tarfile.TarInfo(name.as_posix())
            info.size = (source.folder / name).stat().st_size
            info.mode = 0o755 if (source.folder / name).stat().st_mode & 0o100 else 0o644
            with (source.folder / name).open("rb") as stream:
                archive.addfile(info, stream)
