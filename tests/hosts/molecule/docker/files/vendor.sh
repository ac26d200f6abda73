#!/bin/sh
# A vendor's repository in /srv/mirror/vendor, signed with a key of its own, and the fingerprint of that key.
set -eu
export GNUPGHOME=/root/gnupg
mkdir -m 700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-generate-key vendor@example.com ed25519 sign never
mkdir -p /srv/mirror/vendor/debian/package/DEBIAN
cd /srv/mirror/vendor
gpg --armor --export >key.asc
gpg --with-colons --list-keys | awk -F: '$1 == "fpr" { print $10; exit }' >/srv/mirror/fingerprint
cd debian
cat >package/DEBIAN/control <<END
Package: docker-ce
Version: 99.0
Architecture: all
Maintainer: Nobody <nobody@example.com>
Description: Docker, of a vendor of the tests
END
dpkg-deb --build package docker-ce.deb
for suite in bookworm trixie; do
    for arch in amd64 arm64; do
        folder=dists/$suite/stable/binary-$arch
        mkdir -p "$folder"
        {
            cat package/DEBIAN/control
            echo "Filename: docker-ce.deb"
            echo "Size: $(stat --format %s docker-ce.deb)"
            echo "SHA256: $(sha256sum docker-ce.deb | cut -d' ' -f1)"
        } >"$folder/Packages"
    done
    (
        cd "dists/$suite"
        {
            printf 'Suite: %s\nCodename: %s\nComponents: stable\nArchitectures: amd64 arm64\n' "$suite" "$suite"
            echo "Date: $(LC_ALL=C date -Ru)"
            echo "SHA256:"
            for file in stable/*/Packages; do
                echo " $(sha256sum "$file" | cut -d' ' -f1) $(stat --format %s "$file") $file"
            done
        } >Release
        gpg --batch --quiet --clearsign --output InRelease Release
    )
done
