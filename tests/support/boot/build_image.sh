#!/bin/sh
# Makes the Debian cloud image of the boot lab from Debian packages: two qcow2 images, with and without the guest agent.
#
#   build_image.sh SUITE FOLDER        FOLDER/with-agent.qcow2, FOLDER/without-agent.qcow2, FOLDER/agent/*.deb
#
# As root it works by itself, as somebody else in a user namespace (mmdebstrap --mode=unshare). It mounts nothing.
set -eu

suite=$1
folder=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)

packages=linux-image-cloud-amd64,initramfs-tools,zstd,systemd-sysv,systemd-resolved,dbus,udev,netplan.io
packages=$packages,cloud-init,cloud-guest-utils,qemu-guest-agent,openssh-server,sudo
packages=$packages,iproute2,procps,e2fsprogs,ca-certificates,python3,python3-apt,locales,less,unattended-upgrades

# Only what a virtual machine of QEMU needs to reach its disk: a large initrd takes seconds to unpack without KVM.
# shellcheck disable=SC2016 # $1 is the hook's own
initrd='mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
printf "MODULES=list\nCOMPRESS=zstd\n" >"$1/etc/initramfs-tools/conf.d/lab"
printf "virtio_pci\nvirtio_scsi\nvirtio_blk\nsd_mod\nsr_mod\next4\n" >"$1/usr/share/initramfs-tools/modules.d/lab"'

# The packages that bring the agent to an image without one: those that go when it goes.
# shellcheck disable=SC2016
agent='mkdir -p "$1/var/lib/lab-agent"
for name in $(chroot "$1" apt-get -s purge --auto-remove qemu-guest-agent | awk "/^Purg/ { print \$2 }"); do
    cp "$1/var/cache/apt/archives/${name}_"*.deb "$1/var/lib/lab-agent/"
done'

# A repository inside the image, which guests without a network install from: what a baseline needs, not installed yet.
# shellcheck disable=SC2016
repository='set -eu
mkdir -p "$1/opt/lab-packages"
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
install="apt-get --quiet --assume-yes --no-install-recommends install auditd"
names=$($install --simulate | awk "/^Inst/ { print \$2 }")
$install --download-only >/dev/null
for name in $names; do
    deb=$1/opt/lab-packages/$name.deb
    cp "$1/var/cache/apt/archives/${name}_"*.deb "$deb"
    dpkg-deb --field "$deb"
    printf "Filename: ./%s.deb\nSize: %s\n" "$name" "$(stat -c %s "$deb")"
    printf "SHA256: %s\n\n" "$(sha256sum "$deb" | cut -d " " -f 1)"
done >"$1/opt/lab-packages/Packages"'

# Without KVM a task of Ansible takes seconds; see that file.
# shellcheck disable=SC2016
compiled='set -eu
echo import kept_compiled >"$1/usr/lib/python3/dist-packages/kept_compiled.pth"
chroot "$1" python3 -m compileall -q /usr/lib/python3/dist-packages/kept_compiled.py'

mmdebstrap --quiet --variant=minbase --include="$packages" \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --essential-hook="$initrd" --customize-hook="$agent" --customize-hook="$repository" \
    --customize-hook="copy-in $here/../kept_compiled.py /usr/lib/python3/dist-packages" --customize-hook="$compiled" \
    "$suite" "$folder/root.tar"

if [ "$(id -u)" = 0 ]; then
    sh "$here/fill_disks.sh" "$folder"
else
    mmdebstrap --unshare-helper sh "$here/fill_disks.sh" "$folder"
fi
rm "$folder/root.tar"

for disk in "$folder"/*.raw; do
    qemu-img convert -c -o compression_type=zstd -f raw -O qcow2 "$disk" "${disk%.raw}.qcow2"
    rm "$disk"
done
