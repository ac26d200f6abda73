# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a catalogue entry, or a URL of one's own, to one build whose URL and digest belong together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from .._model.image import CloudImage, Digest, ResolvedImage, Signature, SumsFile
from .discover import Build, Request, discover, fill
from .errors import (
    BadSignature,
    ConflictingDigests,
    DigestChanged,
    MissingSignature,
    NameMissing,
    NoChecksumSource,
    PlainHttp,
)
from .http import Http
from .keys import Keyring
from .own import own_image
from .signature import Policy, Verdict, Verifier
from .sums import Sums, algorithm_from_name, decode, parse_sums
from .urls import display_url, is_plain_http, local_path, name_of

__all__ = ["check_unchanged", "own_image", "resolve"]

# What a vendor in the middle of publishing looks like: index, sums and signature change at different moments.
_RACES = (ConflictingDigests, NameMissing, BadSignature)
_NODE_DOWNLOADS = "signature covers the image, which the node downloads"


def resolve(
    image: CloudImage,
    http: Http,
    *,
    signature: Policy = "if_available",
    keyring: Keyring | None = None,
    build: str | None = None,
    allow_plain_http: bool = False,
) -> ResolvedImage:
    """One build with its digest: the newest, or C(build). Raises ImageError kinds.

    What contradicts itself is read a second time, because vendors publish index, sums and signature one after the
    other; then it is an error. A download whose digest differs should be resolved again once for the same reason.
    With C(signature=required) and C(needs_image_signature) the caller has to download, and so verify, by itself.
    """
    verifier = Verifier(http, signature, keyring or Keyring())
    try:
        return _Attempt(image, http, verifier, build, allow_plain_http).run()
    except _RACES:
        return _Attempt(image, http, verifier, build, allow_plain_http).run()


def check_unchanged(
    resolved: ResolvedImage, remembered: Digest, url_kind: str, *, remembered_url: str | None = None
) -> None:
    """Raises DigestChanged when a dated build has another digest than the one remembered from an earlier run.

    Builds found by discovery are dated too, but may be newer ones than last time: pass the URL they had then as
    C(remembered_url). Digests of different algorithms cannot be compared and pass.
    """
    dated = url_kind == "dated" or resolved.build is not None
    same_build = url_kind == "dated" if remembered_url is None else remembered_url == resolved.url
    comparable = remembered.algorithm == resolved.digest.algorithm
    if not dated or not same_build or not comparable or remembered == resolved.digest:
        return
    raise DigestChanged(
        f"{display_url(resolved.url)} is a dated build, which must not change, but its checksum was {remembered} and "
        f"is now {resolved.digest}. Either the vendor replaced the file without a new date, or someone else did; "
        f"compare with the vendor's announcement, then choose another build or pin the new checksum"
    )


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One reading of everything; each sums file is read, and verified, once."""

    image: CloudImage
    http: Http
    verifier: Verifier
    wanted: str | None
    allow_plain_http: bool
    seen: dict[str, tuple[Sums, Verdict | None]] = field(default_factory=dict)

    def run(self) -> ResolvedImage:
        image = self.image
        if image.digest is not None and image.discovery.get("kind", "none") == "none":
            found = discover(self._request())
            return self._resolved(found, image.digest, "pinned", size=None)
        self._need_signature()
        if image.sums is None:
            raise NoChecksumSource(
                f"{image.id}: the vendor publishes no checksums that are known here; "
                f"name one yourself (checksum: sha256:<hex>)"
            )
        found = discover(self._request())
        if image.sums.format == "json":
            return self._from_index(found, image.sums)
        sums_url = fill(image.discovery.get("sums", image.sums.url), build=found.build, url=found.url)
        sums, verdict = self._sums(sums_url, found)
        digest = self._digest(sums, sums_url, found)
        size = found.size if found.size is not None else sums.size_of(name_of(found.url))
        return self._resolved(found, digest, self._trust(verdict, sums_url), size)

    def _request(self) -> Request:
        return Request(
            image=self.image,
            http=self.http,
            read_sums=lambda url: self._sums(url, None)[0],
            read_signed=self._signed_text,
            wanted=self.wanted,
        )

    def _need_signature(self) -> None:
        if self.verifier.policy == "required" and self.image.signature is None:
            raise MissingSignature(
                f"{self.image.id}: a signature is required, but the vendor signs nothing that is known here; use "
                f"signature: if_available, or pin a checksum that you trust"
            )

    def _from_index(self, found: Build, sums: SumsFile) -> ResolvedImage:
        if found.digest is None:
            raise NoChecksumSource(
                f"{self.image.id}: {display_url(sums.url)} gives no checksum of {name_of(found.url)}"
            )
        self._refuse_plain_http(sums.url, None)
        return self._resolved(found, found.digest, self._trust(None, sums.url), found.size)

    def _digest(self, sums: Sums, sums_url: str, found: Build) -> Digest:
        name = name_of(found.url)
        try:
            digest = sums.digest_for(name, found.aliases)
        except NameMissing:
            # The sums file of a moving alias may name the dated file only (Arch); it is still the file of this image.
            moving = found.build is None and self.image.url_kind == "latest"
            if not moving or not sums_url.startswith(f"{found.url}.") or len(sums.names()) != 1:
                raise
            digest = sums.digest_for(sums.names()[0])
        if found.digest is not None and found.digest.algorithm == digest.algorithm and found.digest != digest:
            raise ConflictingDigests(
                f"{self.image.id}: {sums.source} gives {name} the checksum {digest}, but the vendor's index says "
                f"{found.digest}; both must agree. A vendor in the middle of publishing looks so: try again later"
            )
        return digest

    def _sums(self, url: str, found: Build | None) -> tuple[Sums, Verdict | None]:
        """Read, verify and parse a sums file; used only when the transport or a signature vouches for it."""
        if url in self.seen:
            return self.seen[url]
        hint = (self.image.sums.algorithm if self.image.sums else "") or algorithm_from_name(url)
        source = display_url(url)
        raw = self.http.get_bytes(url)
        signature, verdict = self.image.signature, None
        text = ""
        if signature is not None and signature.kind == "clearsigned-sums":
            verdict, text = self.verifier.clearsigned(raw, signature, what=source)
        else:
            if signature is not None and signature.kind == "detached-sums":
                verdict = self.verifier.detached(raw, self._signature_of(signature, found), what=source)
            text = decode(raw, source=source)
        self._refuse_plain_http(url, verdict)
        self.seen[url] = parse_sums(text, algorithm_hint=hint, source=source), verdict
        return self.seen[url]

    def _signed_text(self, url: str) -> str:
        """The text of an index that the vendor clearsigns; it only names a build, whose sums are verified anyway."""
        raw, signature = self.http.get_bytes(url), self.image.signature
        if signature is not None and signature.kind == "clearsigned-sums":
            return self.verifier.clearsigned(raw, signature, what=display_url(url))[1]
        return decode(raw, source=display_url(url))

    def _signature_of(self, signature: Signature, found: Build | None) -> Signature:
        if found is None:  # the sums file in which the build is searched has the entry's own signature beside it
            return signature
        template = found.signature_url or self.image.discovery.get("signature", signature.url)
        return replace(signature, url=template and fill(template, build=found.build, url=found.url))

    def _refuse_plain_http(self, url: str, verdict: Verdict | None) -> None:
        if self.allow_plain_http or (verdict is not None and verdict.verified) or not is_plain_http(url):
            return
        raise PlainHttp(
            f"{display_url(url)} comes over plain http and no signature vouches for it, so anybody on the way could "
            f"give a false one; use https, pin the checksum (checksum: sha256:<hex>), or set allow_unverified: true"
        )

    def _trust(self, verdict: Verdict | None, url: str) -> str:
        if verdict is not None:
            return str(verdict)
        if local_path(url) is not None:
            return "pinned"
        return "https" if url.startswith("https:") else "unverified: plain http"

    def _resolved(self, found: Build, digest: Digest, verification: str, size: int | None) -> ResolvedImage:
        image, own = self.image, None
        if image.signature is not None and image.signature.kind == "detached-image":
            own = self._signature_of(image.signature, found)
            verification = verification if verification == "pinned" else f"unverified: {_NODE_DOWNLOADS}"
        return ResolvedImage(
            url=found.url,
            digest=digest,
            verification=verification,
            format=image.format,
            compression=image.compression,
            build=found.build,
            size=size,
            image_signature=own,
        )
