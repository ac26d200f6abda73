# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can go wrong between a vendor's server and an unpacked image, as one tree.

ImageError
├─ SourceError                the server, the network, a local path
│  ├─ HttpStatus              answered, but not with the file
│  ├─ FetchFailed             no (complete) answer: refused, TLS, DNS, cut, timed out
│  ├─ TooLarge                longer than such a file can be
│  ├─ RedirectRefused         from https down to http, too many, or to another scheme
│  ├─ BadUrl
│  └─ MissingLibrary
├─ SumsError                  the sums file or index, as a text
│  ├─ HtmlInsteadOfSums, NotText, NoChecksums, BadClearsign, BadIndex
│  ├─ NameMissing, ConflictingDigests, BadDigest, NoUsableAlgorithm
├─ DiscoveryError             no build, or not the asked one
├─ TrustError                 nothing that may be believed
│  ├─ DigestChanged           a dated build has another checksum than before
│  ├─ PlainHttp               checksums over plain http, unsigned
│  ├─ NoChecksumSource
│  └─ SignatureError
│     ├─ BadSignature, MissingSignature, UnknownKey, ExpiredKey, KeyUnreadable, NoPinnedKey, GpgvMissing
├─ DownloadError
│  ├─ DigestMismatch, Truncated, NoSpace, LockTimeout, WorkDirectory
├─ UnpackError
│  ├─ UnsupportedCompression, Corrupt, TooBig, ArchiveMembers
└─ FormatError
   ├─ FormatMismatch, BadQcow2, ExternalData
"""

from __future__ import annotations

from typing import ClassVar


class ImageError(Exception):
    """What was asked of an image cannot be had; the message says which file, what was found and what would be right."""

    kind: ClassVar[str] = "image"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class SourceError(ImageError):
    """The server, the network or the path did not give the file."""

    kind = "source"


class HttpStatus(SourceError):
    """The server answered with C(status), which is no success; C(retry_after) is in seconds, where it said so."""

    kind = "http_status"

    def __init__(self, message: str, status: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class FetchFailed(SourceError):
    """No complete answer came. C(transient) says whether asking again can help (it cannot for a bad certificate)."""

    kind = "fetch_failed"

    def __init__(self, message: str, transient: bool = True) -> None:
        super().__init__(message)
        self.transient = transient


class TooLarge(SourceError):
    """The answer is longer than a file of that purpose can be."""

    kind = "too_large"


class RedirectRefused(SourceError):
    """The server points to a place that must not be followed."""

    kind = "redirect_refused"


class BadUrl(SourceError):
    """The text is no URL and no absolute path that can be read."""

    kind = "bad_url"


class MissingLibrary(SourceError):
    """A Python library is not installed."""

    kind = "missing_library"


class SumsError(ImageError):
    """The sums file cannot be used for what was asked."""

    kind = "sums"


class HtmlInsteadOfSums(SumsError):
    """A web page (often an error page with status 200) came instead of the file."""

    kind = "sums_html"


class NotText(SumsError):
    """The file is binary."""

    kind = "sums_not_text"


class NoChecksums(SumsError):
    """No line of the file is a checksum."""

    kind = "sums_empty"


class BadClearsign(SumsError):
    """The markers of a clearsigned file are damaged."""

    kind = "sums_clearsign"


class BadIndex(SumsError):
    """A JSON index does not have the shape it always had, or not the entry."""

    kind = "sums_index"


class NameMissing(SumsError):
    """The file lists others, but not the image."""

    kind = "sums_name_missing"


class ConflictingDigests(SumsError):
    """The file gives one name two different checksums."""

    kind = "sums_conflict"


class BadDigest(SumsError):
    """The checksum has the wrong length or is not hexadecimal."""

    kind = "sums_bad_digest"


class NoUsableAlgorithm(SumsError):
    """The image is listed only with algorithms that cannot be checked."""

    kind = "sums_algorithm"


class DiscoveryError(ImageError):
    """No build can be found, or not the one asked for."""

    kind = "discovery"


class TrustError(ImageError):
    """There is nothing that the digest of the image may be believed from."""

    kind = "trust"


class DigestChanged(TrustError):
    """A dated build, which must never change, has another checksum than the remembered one."""

    kind = "digest_changed"


class PlainHttp(TrustError):
    """Checksums came over plain http and nothing signed them."""

    kind = "plain_http"


class NoChecksumSource(TrustError):
    """Neither a pinned digest nor a sums file is known for the image."""

    kind = "no_checksum"


class SignatureError(TrustError):
    """A signature is required and could not be verified."""

    kind = "signature"


class BadSignature(SignatureError):
    """The signature is not that of the file, or is damaged, expired or revoked."""

    kind = "signature_bad"


class MissingSignature(SignatureError):
    """The vendor's signature is not there."""

    kind = "signature_missing"


class UnknownKey(SignatureError):
    """The signature was made by a key that is not pinned, or the pinned key is not in the keyring."""

    kind = "signature_key_unknown"


class ExpiredKey(SignatureError):
    """The copy of the key in the keyring has expired."""

    kind = "signature_key_expired"


class KeyUnreadable(SignatureError):
    """A key file is not an OpenPGP key, or its armour is damaged."""

    kind = "signature_key_unreadable"


class NoPinnedKey(SignatureError):
    """The catalogue entry names no fingerprint that could be trusted."""

    kind = "signature_no_fingerprint"


class GpgvMissing(SignatureError):
    """The program C(gpgv) is not installed."""

    kind = "gpgv_missing"


class DownloadError(ImageError):
    """The image could not be brought to the controller."""

    kind = "download"


class DigestMismatch(DownloadError):
    """The bytes are not the ones that the vendor's checksum describes."""

    kind = "digest_mismatch"


class Truncated(DownloadError):
    """The transfer ended early, again and again."""

    kind = "truncated"


class NoSpace(DownloadError):
    """The work directory's file system is too small."""

    kind = "no_space"


class LockTimeout(DownloadError):
    """Another process holds the same image in the same directory."""

    kind = "locked"


class WorkDirectory(DownloadError):
    """The work directory cannot be used."""

    kind = "work_directory"


class UnpackError(ImageError):
    """The packed image cannot be unpacked."""

    kind = "unpack"


class UnsupportedCompression(UnpackError):
    """No way to unpack this kind of file."""

    kind = "compression"


class Corrupt(UnpackError):
    """The packed data is damaged or ends early although its checksum is the vendor's."""

    kind = "corrupt"


class TooBig(UnpackError):
    """Unpacking gives more than any image may have."""

    kind = "too_big"


class ArchiveMembers(UnpackError):
    """An archive does not hold exactly one image."""

    kind = "archive_members"


class FormatError(ImageError):
    """The file is not a usable disk image."""

    kind = "format"


class FormatMismatch(FormatError):
    """The content has another format than declared."""

    kind = "format_mismatch"


class BadQcow2(FormatError):
    """A qcow2 header is damaged or asks for something Proxmox cannot import."""

    kind = "qcow2"


class ExternalData(FormatError):
    """The image refers to another file on the machine that opens it."""

    kind = "external_data"
