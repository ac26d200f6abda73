# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a vendor's signature is worth: gpgv decides, the pinned fingerprint says whose it must be."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .._model.image import Signature
from .errors import (
    BadSignature,
    ExpiredKey,
    GpgvMissing,
    HttpStatus,
    ImageError,
    KeyUnreadable,
    MissingSignature,
    NoPinnedKey,
    SignatureError,
    SourceError,
    SumsError,
    UnknownKey,
)
from .http import Http
from .keys import Key, Keyring, normal_fingerprint, read_key
from .sums import cleartext_of, decode, is_clearsigned, refuse_html
from .urls import display_url

Policy = Literal["required", "if_available"]

_STATUS = "[GNUPG:] "
_TIMEOUT = 600.0
"""Seconds for gpgv, which reads the whole image where the signature covers it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a pinned key signed it; C(why) says why that is not known, as it stands in results."""

    fingerprint: str | None = None
    why: str = ""

    @property
    def verified(self) -> bool:
        return self.fingerprint is not None

    def __str__(self) -> str:
        return "signature" if self.verified else f"unverified: {self.why}"


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies by C(policy): C(required) raises a SignatureError where C(if_available) only reports.

    A bad signature is an error under both.
    """

    http: Http
    policy: Policy = "if_available"
    keyring: Keyring = Keyring()

    def detached(self, data: bytes, signature: Signature, *, what: str) -> Verdict:
        """Verify bytes against the file behind C(signature.url)."""
        return self._guarded(lambda: self._detached(data, signature, what))

    def file(self, path: Path, signature: Signature, *, what: str) -> Verdict:
        """Verify a file on disk, such as a packed image, against the file behind C(signature.url)."""
        return self._guarded(lambda: self._detached(path, signature, what))

    def clearsigned(self, raw: bytes, signature: Signature, *, what: str) -> tuple[Verdict, str]:
        """Verify a clearsigned file. The text is what gpgv put out, or the text between the markers if unverified."""
        text = decode(raw, source=what)
        unverified = cleartext_of(text, source=what)
        out: list[str] = []

        def check() -> Verdict:
            if not is_clearsigned(text):
                refuse_html(text, source=what)
                raise _Soft(
                    MissingSignature(f"{what} is not clearsigned, though the vendor signs it"), "signature absent"
                )
            verdict, signed = _gpgv(raw, None, self._keys(signature), signature, what)
            out.append(decode(signed, source=f"the signed text of {what}"))
            return verdict

        verdict = self._guarded(check)
        return verdict, out[0] if verdict.verified else unverified

    def _guarded(self, check: Callable[[], Verdict]) -> Verdict:
        try:
            return check()
        except _Soft as soft:
            if self.policy == "required":
                raise soft.error from None
            return Verdict(why=soft.why)

    def _detached(self, data: bytes | Path, signature: Signature, what: str) -> Verdict:
        keys = self._keys(signature)
        if signature.url is None:
            raise _Soft(MissingSignature(f"no URL of a signature is known for {what}"), "signature absent")
        try:
            raw = self.http.get_bytes(signature.url)
        except HttpStatus as exc:
            if exc.status not in (404, 410):
                raise
            raise _Soft(
                MissingSignature(f"the signature of {what} is not there: {exc.message}"), "signature absent"
            ) from None
        return _gpgv(data, raw, keys, signature, what)[0]

    def _keys(self, signature: Signature) -> bytes:
        pinned = _pinned(signature)
        if not pinned:
            error = NoPinnedKey(
                "no full fingerprint of the vendor's key is pinned; add signature.fingerprints to the entry"
            )
            raise _Soft(error, "no fingerprint pinned")
        if _gpgv_path() is None:
            error_gpgv = GpgvMissing(
                "the program gpgv is needed to verify signatures; install the package gpgv (Debian, Ubuntu), gnupg2 "
                "(Fedora, EL) or gpg2 (openSUSE) on the controller, or set signature: if_available"
            )
            raise _Soft(error_gpgv, "gpgv absent")
        keys = self.keyring.having(pinned) or (self._fetched_key(signature, pinned),)
        return b"".join(key.data for key in keys)

    def _fetched_key(self, signature: Signature, pinned: tuple[str, ...]) -> Key:
        told = " or ".join(pinned)
        if not signature.key_url:
            raise _absent(f"the key {told} is not in the keyring; put it there as a .asc or .gpg file")
        where = display_url(signature.key_url)
        try:
            key = read_key(self.http.get_bytes(signature.key_url), source=where)
        except (SourceError, KeyUnreadable, SumsError) as exc:
            raise _absent(f"the key {told} is not in the keyring and cannot be fetched: {exc.message}") from None
        if not set(key.fingerprints) & set(pinned):
            raise _absent(
                f"the key at {where} has the fingerprint {', '.join(key.fingerprints)}, but {told} is pinned; "
                f"it is not used. If the vendor has changed its key, pin the new one"
            )
        return key


class _Soft(Exception):
    """A failure that C(if_available) only reports as C(why)."""

    def __init__(self, error: SignatureError, why: str) -> None:
        super().__init__(why)
        self.error = error
        self.why = why


def _absent(message: str) -> _Soft:
    return _Soft(UnknownKey(message), "key absent")


def _pinned(signature: Signature) -> tuple[str, ...]:
    """Full fingerprints only: a short key id can be forged."""
    return tuple(item for item in map(normal_fingerprint, signature.fingerprints) if len(item) in (40, 64))


def _gpgv_path() -> str | None:
    return shutil.which("gpgv")


def _gpgv(
    data: bytes | Path, detached: bytes | None, keys: bytes, signature: Signature, what: str
) -> tuple[Verdict, bytes]:
    """Run gpgv in a directory of its own; returns its verdict and, for clearsigned data, the signed text."""
    with tempfile.TemporaryDirectory(prefix="homelab-gpgv-") as home:
        room = Path(home)
        (room / "keys.gpg").write_bytes(keys)
        signed = data if isinstance(data, Path) else room / "data"
        if not isinstance(data, Path):
            signed.write_bytes(data)
        files = [str(signed)]
        output = room / "text"
        if detached is not None:
            (room / "signature").write_bytes(detached)
            files.insert(0, str(room / "signature"))
        else:
            files[:0] = ["--output", str(output)]
        status = _run(
            ["gpgv", "--homedir", home, "--keyring", str(room / "keys.gpg"), "--status-fd", "1", *files], what
        )
        verdict = _judge(status, signature, what, detached)
        return verdict, output.read_bytes() if output.exists() else b""


def _run(command: list[str], what: str) -> str:
    try:
        # The exit status also counts signatures of keys that nobody asked about, so only the status lines are read.
        # This layer knows no module whose run_command it could call.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"LC_ALL": "C"},
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise BadSignature(f"gpgv did not finish with {what} within {_TIMEOUT:g} s") from exc
    except OSError as exc:
        raise GpgvMissing(f"gpgv cannot be started: {exc.strerror}") from exc
    return done.stdout.decode("utf-8", "replace")


def _judge(status: str, signature: Signature, what: str, detached: bytes | None) -> Verdict:
    groups: list[dict[str, list[str]]] = [{}]
    for line in status.splitlines():
        if not line.startswith(_STATUS):
            continue
        word, *arguments = line.removeprefix(_STATUS).split(" ")
        if word == "NEWSIG":
            groups.append({})
        groups[-1].setdefault(word, arguments)
    pinned = _pinned(signature)
    for group in groups:
        _refuse_bad(group, what)
    for group in groups:
        if "GOODSIG" in group and (signer := _signer(group)) in pinned:
            return Verdict(fingerprint=signer)
    raise _unconvincing(groups, pinned, what, detached)


def _refuse_bad(group: dict[str, list[str]], what: str) -> None:
    bad = {
        "BADSIG": "is not that of this file: one of the two was changed, or they belong to different builds",
        "REVKEYSIG": "was made by a key that its owner has revoked",
        "EXPSIG": "has expired",
    }
    for word, reason in bad.items():
        if word in group:
            raise BadSignature(f"the signature of {what} {reason} (key {' '.join(group[word][:1]) or 'unknown'})")


def _signer(group: dict[str, list[str]]) -> str | None:
    """The primary key's fingerprint: field 10 of VALIDSIG (GnuPG, doc/DETAILS)."""
    fields = group.get("VALIDSIG", [])
    return (fields[9] if len(fields) > 9 else fields[0]).upper() if fields else None


def _unconvincing(
    groups: list[dict[str, list[str]]], pinned: tuple[str, ...], what: str, detached: bytes | None
) -> Exception:
    told = " or ".join(pinned)
    for group in groups:
        if "EXPKEYSIG" in group:
            message = (
                f"the key {told} that signed {what} has expired in the copy at hand; fetch the vendor's current copy"
            )
            return _Soft(ExpiredKey(message), "key expired")
        signer = _signer(group) or " ".join(group.get("NO_PUBKEY", [])[:1])
        if signer:
            return _absent(f"{what} was signed by the key {signer}, but {told} is pinned")
    if any("ERRSIG" in group for group in groups):
        return _Soft(BadSignature(f"this gpgv cannot check the signature of {what}; it is too old"), "gpgv too old")
    if detached is not None:
        try:
            refuse_html(detached[:4096].decode("utf-8", "replace"), source=f"the signature of {what}")
        except ImageError as exc:
            return BadSignature(exc.message)
    return BadSignature(f"the signature of {what} is damaged: gpgv finds no OpenPGP signature in it")
