#!/bin/sh
# Second half of build_image.sh, as root of some user namespace: FOLDER/root.tar becomes two bootable raw disks of 2 GiB.
set -eu

folder=$1
work=$(mktemp -d "$folder/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root

# boot.img loads what follows it; the partition begins where everybody lets it begin, at 1 MiB.
START=2048
SECTORS=$((2 * 1024 * 1024 * 2))

unpack() {
    mkdir "$root"
    # Device files cannot be made in a user namespace, and systemd makes its own.
    tar -C "$root" --exclude='./dev/*' -xpf "$folder/root.tar"
}

settle() {
    # As Debian's own cloud images: no identity, names of network cards that stay, the serial console.
    rm -f "$root"/etc/ssh/ssh_host_*
    : >"$root/etc/machine-id"
    echo localhost >"$root/etc/hostname"
    printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >"$root/etc/hosts"
    printf 'LABEL=root / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1\n' >"$root/etc/fstab"
    # Without it cloud-init's module generates one, which takes minutes without KVM.
    echo LANG=C.UTF-8 >"$root/etc/default/locale"
    cat >"$root/etc/cloud/cloud.cfg.d/90_lab.cfg" <<END
datasource_list: [NoCloud, None]
locale: C.UTF-8
# An RSA key takes many seconds without KVM.
ssh_genkeytypes: [ed25519, ecdsa]
END
    # The first ones would compete with the test for the only processor, at a time of their own choosing. What the rest
    # is for is not here, and without KVM each process costs a quarter of a second.
    for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service \
        unattended-upgrades.service dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount \
        sys-kernel-tracing.mount sys-fs-fuse-connections.mount sys-kernel-config.mount systemd-binfmt.service \
        modprobe@dm_mod.service modprobe@loop.service modprobe@efi_pstore.service modprobe@drm.service \
        modprobe@fuse.service modprobe@configfs.service; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    # Nothing else can be reached, and an index that cannot be is an error of apt.
    rm -f "$root"/etc/apt/sources.list.d/*
    echo 'deb [trusted=yes] file:/opt/lab-packages ./' >"$root/etc/apt/sources.list"
    ln -sf /run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
    if [ -d "$root/var/lib/lab-agent" ]; then
        rm -rf "$folder/agent"
        mv "$root/var/lib/lab-agent" "$folder/agent"
        # Whoever called may be another user, and removes it.
        chmod 0777 "$folder/agent"
    fi
}

remove_agent() {
    mkdir -p "$root/dev"
    : >"$root/dev/null"
    chroot "$root" apt-get -qq -y purge --auto-remove qemu-guest-agent >/dev/null
    rm -f "$root/dev/null" "$root"/etc/ssh/ssh_host_*
}

# $1: the disk's file. A partition table with one entry, and GRUB in front of it.
make_disk() {
    rm -f "$1"
    truncate -s $((SECTORS * 512)) "$1"
    mkfs.ext4 -q -F -L root -d "$root" -E offset=$((START * 512)) "$1" $(((SECTORS - START) / 2))k
    # Without the guards against speculation a boot without KVM is a tenth shorter.
    cat >"$work/early.cfg" <<END
linux /vmlinuz root=LABEL=root ro console=ttyS0,115200 8250.nr_uarts=1 net.ifnames=0 biosdevname=0 mitigations=off
initrd /initrd.img
boot
END
    grub-mkimage -O i386-pc -c "$work/early.cfg" -p '(hd0,msdos1)/boot/grub' -o "$work/core.img" \
        biosdisk part_msdos ext2 linux boot
    dd if=/usr/lib/grub/i386-pc/boot.img of="$1" bs=440 count=1 conv=notrunc status=none
    dd if="$work/core.img" of="$1" bs=512 seek=1 conv=notrunc status=none
    # Active, LBA only (0xfeffff), type Linux, first sector, number of sectors.
    {
        printf '\200\376\377\377\203\376\377\377'
        word "$START"
        word "$((SECTORS - START))"
    } | dd of="$1" bs=1 seek=446 conv=notrunc status=none
    printf '\125\252' | dd of="$1" bs=1 seek=510 conv=notrunc status=none
}

# 32 bits, lowest byte first.
word() {
    for shift in 0 8 16 24; do
        # shellcheck disable=SC2059 # the format is the byte
        printf "\\$(printf %o $(($1 >> shift & 255)))"
    done
}

unpack
settle
make_disk "$folder/with-agent.raw"
remove_agent
make_disk "$folder/without-agent.raw"
