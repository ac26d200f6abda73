# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be read from a URL, and what of it may be shown."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from .errors import BadUrl, RedirectRefused


def display_url(url: str) -> str:
    """The URL for people: without user, password and the values of its query (signed URLs carry secrets there)."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "<unreadable URL>"
    host = parts.netloc.rpartition("@")[2]
    query = "&".join(f"{item.partition('=')[0]}=***" if "=" in item else item for item in parts.query.split("&"))
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def local_path(url: str) -> Path | None:
    """The file behind C(file://) or an absolute path; None for a URL of a server. Raises BadUrl for anything else."""
    if url.startswith("/"):
        return Path(url)
    parts = _split(url)
    if parts.scheme == "file" and parts.hostname in (None, "localhost") and parts.path.startswith("/"):
        return Path(unquote(parts.path))
    if parts.scheme in ("http", "https") and parts.hostname:
        return None
    raise BadUrl(f"{display_url(url)!r} cannot be read: use http://, https://, file:///path or an absolute path")


def is_plain_http(url: str) -> bool:
    """Whether anybody on the way could change the answer: plain http to another machine."""
    if local_path(url) is not None:
        return False
    parts = _split(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def check_redirect(source: str, target: str) -> None:
    """Raises RedirectRefused for a redirect that leaves https or leads to something that is no server."""
    scheme = _split(target).scheme
    if scheme not in ("http", "https"):
        raise RedirectRefused(
            f"{display_url(source)} redirects to {display_url(target)}: only http and https are followed"
        )
    if scheme == "http" and _split(source).scheme == "https":
        raise RedirectRefused(
            f"{display_url(source)} redirects from https down to {display_url(target)}, which anybody on the way could "
            f"change; name an https mirror instead"
        )


def directory_of(url: str) -> str:
    """The URL up to, without, the last slash of its path; query and fragment are dropped."""
    return url.partition("#")[0].partition("?")[0].rpartition("/")[0]


def name_of(url: str) -> str:
    """The file name at the end of the URL's path, percent-decoded."""
    return unquote(url.partition("#")[0].partition("?")[0].rpartition("/")[2])


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _unused = (parts.hostname, parts.port)
    except ValueError as exc:
        raise BadUrl(f"{display_url(url)} is no URL: {exc}") from exc
    return parts


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
