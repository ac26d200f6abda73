#!/bin/sh
# Checks what has to be there before anything can be set up, and names what is missing.
#
#   scripts/prerequisites.sh setup|test     one line for each thing missing, and the apt-get line that brings it; status 1
#   scripts/prerequisites.sh boot           the same for the tests that boot guests, which are skipped without; status 0
#   scripts/prerequisites.sh hosts          the same for the tests of roles on hosts, which are skipped without; status 0
#   scripts/prerequisites.sh python         prints the newest working Python that can make a virtual environment
#
# Packages are installed only under CI=true or SETUP=1, as root, with apt-get. A person's machine is left alone.
set -eu

usable_python() {
    # A shim of pyenv may be found and still fail; Debian's python3 may come without ensurepip. Only running it tells.
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        usable_python "$PYTHON" && echo "$PYTHON"
        return
    fi
    for candidate in python3.13 python3.12 python3.11 python3; do
        if usable_python "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

lacks() { ! command -v "$1" >/dev/null 2>&1; }

missing_packages() {
    if lacks git; then echo git; fi
    if ! find_python >/dev/null; then echo python3-venv; fi
    if [ "$1" = test ]; then
        # The tests of signatures make throw-away keys and check with gpgv, as the modules do.
        if lacks gpg; then echo gpg; fi
        if lacks gpg-agent; then echo gpg-agent; fi
        if lacks gpgv; then echo gpgv; fi
        # What draws the menu, a reader of ISO files, and a browser that looks at the pages that modules write. Nobody is
        # made to install them: without, those tests are skipped, but not where packages may be installed.
        if lacks whiptail && may_install; then echo whiptail; fi
        if lacks dialog && may_install; then echo dialog; fi
        if lacks bsdtar && may_install; then echo libarchive-tools; fi
        if lacks chromium && lacks chromium-headless-shell && may_install; then echo chromium-headless-shell; fi
    fi
    if [ "$1" = boot ]; then
        # What tests/support/boot/tools.py looks for.
        if lacks qemu-system-x86_64; then echo qemu-system-x86; fi
        if lacks qemu-img; then echo qemu-utils; fi
        if lacks mmdebstrap; then echo mmdebstrap; fi
        if lacks mkfs.ext4; then echo e2fsprogs; fi
        if lacks grub-mkimage; then echo grub-common; fi
        if ! [ -e /usr/lib/grub/i386-pc/boot.img ]; then echo grub-pc-bin; fi
        if lacks genisoimage; then echo genisoimage; fi
        if lacks newuidmap && [ "$(id -u)" != 0 ]; then echo uidmap; fi
        if lacks setpriv; then echo util-linux; fi
        if lacks ssh; then echo openssh-client; fi
    fi
    if [ "$1" = hosts ]; then
        # What tests/support/hosts/tools.py looks for.
        if lacks dockerd || lacks docker; then echo docker.io; fi
        if lacks iptables; then echo iptables; fi
        if lacks ip; then echo iproute2; fi
        if lacks mmdebstrap; then echo mmdebstrap; fi
        if lacks ssh; then echo openssh-client; fi
    fi
}

may_install() {
    { [ "${CI:-}" = true ] || [ "${SETUP:-}" = 1 ]; } && [ "$(id -u)" = 0 ] && ! lacks apt-get
}

explain() {
    echo "Missing: $*" >&2
    case " $* " in
    *" python3-venv "*)
        if [ -n "${PYTHON:-}" ]; then
            echo "  $PYTHON is no working Python 3.11 or newer with the modules venv and ensurepip." >&2
        else
            echo "  No working Python 3.11 or newer with the modules venv and ensurepip was found." >&2
        fi
        ;;
    esac
    echo "Install it with:  sudo apt-get install $*" >&2
    echo "(or, as root, let make do it:  SETUP=1 make ...)" >&2
}

case "${1:-}" in
python)
    find_python
    ;;
setup | test | boot | hosts)
    missing=$(missing_packages "$1" | tr '\n' ' ')
    missing=${missing% }
    if [ -n "$missing" ] && may_install; then
        apt-get update -qq
        # shellcheck disable=SC2086 # a list of package names
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing </dev/null
        missing=$(missing_packages "$1" | tr '\n' ' ')
        missing=${missing% }
    fi
    if [ -n "$missing" ]; then
        # shellcheck disable=SC2086
        explain $missing
        # A person without QEMU or Docker has the other tests; CI is to say what it could not do.
        if { [ "$1" = boot ] || [ "$1" = hosts ]; } && [ "${CI:-}" != true ]; then exit 0; fi
        exit 1
    fi
    ;;
*)
    echo "usage: $0 setup|test|boot|hosts|python" >&2
    exit 2
    ;;
esac
