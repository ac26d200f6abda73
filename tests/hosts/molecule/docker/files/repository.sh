#!/bin/sh
# repository.sh broken|good SUFFIX: a repository on this host with a newer docker.io, made from the one that is installed.
set -eu
version=$(dpkg-query -W -f '${Version}' docker.io)
rm -rf /srv/repository
mkdir -p /srv/repository/stage/DEBIAN
cd /srv/repository
# With tar, which does not mind that /lib is a link.
dpkg -L docker.io | grep -v '^/etc' | while read -r path; do
    if [ -f "$path" ]; then echo "${path#/}"; fi
done | tar --create --directory / --files-from - | tar --extract --directory stage
if [ "$1" = broken ]; then
    printf '#!/bin/sh\necho "this daemon is broken" >&2\nexit 1\n' >stage/usr/sbin/dockerd
fi
cat >stage/DEBIAN/control <<END
Package: docker.io
Version: ${version}+$2
Architecture: $(dpkg --print-architecture)
Maintainer: Nobody <nobody@example.com>
Depends: containerd
Description: Docker, of the tests
END
dpkg-deb -Znone --build stage docker.io.deb
{
    cat stage/DEBIAN/control
    echo "Filename: ./docker.io.deb"
    echo "Size: $(stat --format %s docker.io.deb)"
    echo "SHA256: $(sha256sum docker.io.deb | cut -d' ' -f1)"
} >Packages
rm -r stage
echo 'deb [trusted=yes] file:/srv/repository ./' >/etc/apt/sources.list.d/test.list
