# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading from vendors' servers, and from local paths for images of one's own."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar
from urllib.parse import urljoin

from .errors import FetchFailed, HttpStatus, MissingLibrary, RedirectRefused, SourceError, TooLarge
from .urls import check_redirect, display_url, local_path

REQUESTS_IMPORT_ERROR: str | None = None
try:
    import requests
    import urllib3
except ImportError:
    REQUESTS_IMPORT_ERROR = traceback.format_exc()

SUMS_LIMIT = 4 * 2**20
"""Bytes that a sums file, signature or key may have at most."""
INDEX_LIMIT = 32 * 2**20
"""Bytes that a JSON or HTML index may have; Ubuntu's simplestreams file has several MiB."""
CHUNK = 2**17
"""Bytes per piece of a stream; a cut transfer loses one piece."""
USER_AGENT = "homelab.proxmox (Ansible collection; cloud image fetcher)"
_RETRY_STATUS = frozenset({429, 500, 502, 503, 504})
_REDIRECT_STATUS = frozenset({301, 302, 303, 307, 308})
_T = TypeVar("_T")


class Clock(Protocol):
    """Time and waiting, injected so that tests do not wait."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float, /) -> None: ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float, /) -> None:
        time.sleep(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a HEAD request tells: C(url) is where the redirects ended, C(size) is in bytes."""

    url: str
    status: int
    size: int | None = None
    validator: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """An open transfer. C(offset) is where it really starts: 0 when the server did not resume."""

    chunks: Iterator[bytes]
    offset: int
    total: int | None
    """Bytes of the whole file, where told."""
    validator: str | None
    """A strong ETag or the Last-Modified date: what C(If-Range) needs."""


class Http(Protocol):
    """The only way in which this package reaches a server."""

    def get_bytes(self, url: str, limit: int = SUMS_LIMIT) -> bytes:
        """The whole file. Raises SourceError kinds; TooLarge beyond C(limit) bytes."""
        raise NotImplementedError

    def head(self, url: str) -> Head:
        """Where the URL leads and how large the file is. Raises for no status."""
        raise NotImplementedError

    def stream(self, url: str, offset: int = 0, *, validator: str | None = None) -> AbstractContextManager[Stream]:
        """The file from byte C(offset) on, or from 0 when the server cannot, or the file is no longer C(validator)."""
        raise NotImplementedError


class RequestsHttp:
    """HTTP over requests: proxies from the environment, verified TLS, retries of reads on an injected clock."""

    def __init__(
        self,
        *,
        validate_certs: bool = True,
        ca_path: str | None = None,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        total_timeout: float = 300.0,
        retries: int = 4,
        max_redirects: int = 10,
        clock: Clock | None = None,
    ) -> None:
        """C(total_timeout) is seconds for one small file with all its retries; a stream has only the read timeout."""
        self._verify: bool | str = ca_path if validate_certs and ca_path else validate_certs
        self._timeout = (connect_timeout, read_timeout)
        self._total_timeout = total_timeout
        self._retries = retries
        self._max_redirects = max_redirects
        self._clock: Clock = clock or SystemClock()
        self._sessions = threading.local()

    def get_bytes(self, url: str, limit: int = SUMS_LIMIT) -> bytes:
        path = local_path(url)
        if path is not None:
            return _read_local(path, limit)
        deadline = self._clock.monotonic() + self._total_timeout
        return self._retrying(lambda: self._get_once(url, limit, deadline), deadline)

    def head(self, url: str) -> Head:
        path = local_path(url)
        if path is not None:
            return Head(url=url, status=200, size=path.stat().st_size) if path.is_file() else Head(url=url, status=404)
        deadline = self._clock.monotonic() + self._total_timeout
        return self._retrying(lambda: self._head_once(url), deadline)

    @contextmanager
    def stream(self, url: str, offset: int = 0, *, validator: str | None = None) -> Iterator[Stream]:
        path = local_path(url)
        if path is not None:
            with _stream_local(path, offset) as stream:
                yield stream
            return
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        if offset and validator:
            headers["If-Range"] = validator
        deadline = self._clock.monotonic() + self._total_timeout
        response = self._retrying(lambda: self._open("GET", url, headers, (200, 206, 416)), deadline)
        if response.status_code == 416:  # the part is longer than the file has become
            response.close()
            response = self._retrying(lambda: self._open("GET", url, {}), deadline)
        with response:
            start, total = _range_of(url, response, offset)
            validator = _validator(response.headers)
            yield Stream(chunks=_chunks(url, response), offset=start, total=total, validator=validator)

    def _get_once(self, url: str, limit: int, deadline: float) -> bytes:
        with self._open("GET", url, {}) as response:
            data = bytearray()
            for chunk in _chunks(url, response, decode=True, size=65536):
                data += chunk
                if len(data) > limit:
                    raise TooLarge(_too_large(display_url(url), limit))
                if self._clock.monotonic() > deadline:
                    raise FetchFailed(f"{display_url(url)} did not arrive within {self._total_timeout:g} s")
            return bytes(data)

    def _head_once(self, url: str) -> Head:
        with self._open("HEAD", url, {}, range(600)) as response:
            size = response.headers.get("Content-Length", "")
            return Head(
                url=response.url,
                status=response.status_code,
                size=int(size) if size.isdigit() else None,
                validator=_validator(response.headers),
            )

    def _retrying(self, attempt: Callable[[], _T], deadline: float) -> _T:
        """Repeat a read that failed for a passing reason, with growing pauses, as long as C(deadline) allows."""
        number = 0
        while True:
            try:
                return attempt()
            except (FetchFailed, HttpStatus) as exc:
                pause = _pause(exc, number)
                if pause is None or number >= self._retries or self._clock.monotonic() + pause > deadline:
                    raise
            self._clock.sleep(pause)
            number += 1

    def _open(
        self, method: str, url: str, headers: Mapping[str, str], accept: Container[int] = (200,)
    ) -> requests.Response:
        """Send and follow redirects by hand, because each target is checked before it is asked."""
        current = url
        for _hop in range(self._max_redirects + 1):
            response = self._send(method, current, headers)
            if response.status_code not in _REDIRECT_STATUS or "Location" not in response.headers:
                if response.status_code in accept:
                    return response
                response.close()
                raise _status_error(url, response)
            target = urljoin(current, response.headers["Location"])
            response.close()
            check_redirect(current, target)
            current = target
        raise RedirectRefused(
            f"{display_url(url)} redirects more than {self._max_redirects} times; it is probably a circle"
        )

    def _send(self, method: str, url: str, headers: Mapping[str, str]) -> requests.Response:
        try:
            # `verify` per request: a session-wide one loses against REQUESTS_CA_BUNDLE.
            return self._session().request(
                method,
                url,
                headers=dict(headers),
                stream=True,
                timeout=self._timeout,
                allow_redirects=False,
                verify=self._verify,
            )
        except requests.exceptions.SSLError as exc:
            raise FetchFailed(
                f"{display_url(url)}: the TLS connection was refused: {_reason(exc)}. If the server has a "
                f"certificate of your own, name its CA",
                transient=False,
            ) from None
        except requests.exceptions.ConnectTimeout:
            raise FetchFailed(f"{display_url(url)}: no connection within {self._timeout[0]:g} s") from None
        except requests.exceptions.Timeout:
            raise FetchFailed(f"{display_url(url)}: no answer within {self._timeout[1]:g} s") from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader) as exc:
            raise FetchFailed(f"{display_url(url)} cannot be asked: {type(exc).__name__}", transient=False) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as exc:
            raise FetchFailed(f"{display_url(url)}: no answer: {_reason(exc)}") from None

    def _session(self) -> requests.Session:
        """One session per thread: requests does not promise that a session may be shared."""
        if REQUESTS_IMPORT_ERROR is not None:
            raise MissingLibrary("the Python library requests (>= 2.31) is needed to read images; install it with pip")
        session: requests.Session | None = getattr(self._sessions, "session", None)
        if session is None:
            session = self._sessions.session = requests.Session()
            # Identity: a packed transfer would have another length and, for .gz images, another checksum.
            session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
        return session


def _chunks(url: str, response: requests.Response, *, decode: bool = False, size: int = CHUNK) -> Iterator[bytes]:
    try:
        yield from response.raw.stream(size, decode_content=decode)
    except (urllib3.exceptions.HTTPError, OSError) as exc:
        raise FetchFailed(
            f"{display_url(url)}: the transfer was cut after {response.raw.tell()} bytes: {_reason(exc)}"
        ) from None
    told = response.headers.get("Content-Length", "")
    if told.isdigit() and response.raw.tell() != int(told):
        raise FetchFailed(f"{display_url(url)}: the transfer was cut after {response.raw.tell()} of {told} bytes")


def _pause(exc: FetchFailed | HttpStatus, number: int) -> float | None:
    """Seconds to wait before try C(number) + 2; None where trying again is of no use."""
    pause = min(0.5 * 2.0**number, 10.0)
    if isinstance(exc, FetchFailed):
        return pause if exc.transient else None
    if exc.status not in _RETRY_STATUS:
        return None
    return pause if exc.retry_after is None else max(pause, exc.retry_after)


def _status_error(url: str, response: requests.Response) -> HttpStatus:
    status = response.status_code
    remedy = {
        401: "the server wants a login",
        403: "the server does not give it to anybody, or not from here",
        404: "it does not exist (any more); dated builds are removed by most vendors after some months",
        407: "the proxy wants a login",
        410: "the vendor has removed it",
        429: "the server asks for fewer requests; try again later",
    }.get(status, "the server has a fault of its own; try again later" if status >= 500 else "a file was expected")
    after = response.headers.get("Retry-After", "")
    return HttpStatus(
        f"{display_url(url)}: HTTP {status} {response.reason or ''}".rstrip() + f": {remedy}",
        status,
        float(after) if after.isdigit() else None,
    )


def _range_of(url: str, response: requests.Response, asked: int) -> tuple[int, int | None]:
    if response.status_code != 206:
        told = response.headers.get("Content-Length", "")
        return 0, int(told) if told.isdigit() else None
    said = response.headers.get("Content-Range", "")
    start, dash, _rest = said.removeprefix("bytes ").partition("-")
    if not dash or not start.isdigit() or int(start) != asked:
        raise FetchFailed(f"{display_url(url)}: asked from byte {asked}, the server sent {said!r}", transient=False)
    total = said.rpartition("/")[2]
    return asked, int(total) if total.isdigit() else None


def _validator(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")


def _reason(exc: BaseException) -> str:
    """The innermost cause in words; the outer texts of requests repeat the URL with its secrets."""
    seen: BaseException = exc
    while (inner := getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)) is not None:
        if not isinstance(inner, BaseException):
            break
        seen = inner
    seen = seen.__cause__ or seen.__context__ or seen
    if isinstance(seen, OSError):
        return getattr(seen, "verify_message", None) or seen.strerror or type(seen).__name__
    return type(seen).__name__


def _too_large(where: str, limit: int) -> str:
    return (
        f"{where} is larger than {limit} bytes, too large for a list of checksums, a signature, a key or an index; "
        f"the URL probably points to an image"
    )


def _read_local(path: Path, limit: int) -> bytes:
    with _opened(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise TooLarge(_too_large(str(path), limit))
    return data


@contextmanager
def _stream_local(path: Path, offset: int) -> Iterator[Stream]:
    with _opened(path) as file:
        status = os.fstat(file.fileno())
        start = offset if offset <= status.st_size else 0
        file.seek(start)
        yield Stream(
            chunks=iter(lambda: file.read(CHUNK), b""),
            offset=start,
            total=status.st_size,
            validator=f"{status.st_mtime_ns}-{status.st_size}",
        )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        if not path.is_file():
            raise SourceError(f"{path} is not a file on the controller")
        file = path.open("rb")
    except OSError as exc:
        raise SourceError(f"{path} cannot be read on the controller: {exc.strerror}") from exc
    with file:
        yield file
