#!/usr/bin/env bash
# Makes a guest whose kernel enforces AppArmor: a kernel and a root image.
#
#   apparmor/vm/build.sh SUITE DIRECTORY
#
# SUITE is bookworm or trixie. DIRECTORY gets `vmlinuz` and `root.img`, made from
# Debian's packages alone; the image holds the sandbox venv, at the path that the
# profiles' tunables name. Needs root, because the image keeps owners and the script
# uses chroot. It mounts nothing. A finished guest has a stamp and is used again.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The libraries that a real service's sandboxes have, so that each probe of a library runs.
requirements=$here/../../deploy/requirements/verawood-python3.11.txt
# The numpy of that list, 1.26, has no wheel for Python 3.13.
numpy_of_newer_python=numpy==2.3.5

# These options must be built into the kernel, since there is no initramfs and no module.
kernel_options=(
    SECURITY_APPARMOR SECURITY_LANDLOCK EXT4_FS BLK_DEV_NVME DEVTMPFS SERIAL_8250_CONSOLE
)

[ $# -eq 2 ] || {
    echo "usage: ${0##*/} SUITE DIRECTORY" >&2
    exit 64
}
suite=$1
mkdir -p "$2"
directory=$(cd "$2" && pwd)

say() { echo "guest $suite: $*"; }
fail() {
    say "$*" >&2
    exit 1
}

stamp=$directory/stamp
wanted_stamp() { cat "$here/build.sh" "$here/init.sh" "$requirements" | sha256sum; }
if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$(wanted_stamp)" ]; then
    exit 0
fi
[ "$(id -u)" -eq 0 ] || fail "building a guest takes root"

mirror=$("$here/../../scripts/debian-mirror.sh")

root=$directory/root
say "packages from $mirror; two minutes"
rm -rf "$root" "$stamp"
mmdebstrap --quiet --mode=root --variant=minbase \
    --include=linux-image-cloud-amd64,python3,python3-venv,apparmor,iproute2,procps,curl,runc,systemd \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    "$suite" "$root" "$mirror"

say "kernel"
cp "$root"/boot/vmlinuz-* "$directory/vmlinuz"
for option in "${kernel_options[@]}"; do
    grep -qx "CONFIG_$option=y" "$root"/boot/config-* || fail "the kernel lacks CONFIG_$option=y"
done
rm -rf "${root:?}"/boot/* "${root:?}"/usr/lib/modules/* "$root"/var/cache/apt/archives/*.deb

say "sandbox venv"
chroot "$root" useradd --system --no-create-home app
chroot "$root" python3 -m venv --copies --without-pip /sandbox/venv
version=$(chroot "$root" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# The machine's own pip installs for the guest's Python, since the guest has no network.
python3 -m venv "$directory/pip"
libraries=$directory/libraries.txt
cp "$requirements" "$libraries"
[ "$version" = 3.11 ] || sed -i "s/^numpy==.*/$numpy_of_newer_python/" "$libraries"
"$directory/pip/bin/pip" --quiet --disable-pip-version-check install --no-deps --only-binary=:all: --no-compile \
    --python-version "$version" --implementation cp \
    --target "$root/sandbox/venv/lib/python$version/site-packages" --requirement "$libraries"
rm -rf "$directory/pip" "$libraries"
# Status 1 means that some file does not compile: some libraries have test files in Python 2.
chroot "$root" /sandbox/venv/bin/python -m compileall -qq -j 0 /sandbox/venv/lib || [ $? -eq 1 ]

say "image"
install -m 755 "$here/init.sh" "$root/vm-init"
# If systemd is process 1, /vm-init is a service, and starts last.
cat >"$root/etc/systemd/system/vm-init.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/vm-init
[Install]
WantedBy=multi-user.target
UNIT
chroot "$root" systemctl --quiet enable vm-init.service
# Nobody logs into the guest, and some of these units would wait a minute for a device or a name.
chroot "$root" systemctl --quiet mask getty.target systemd-logind.service apt-daily.timer apt-daily-upgrade.timer \
    dpkg-db-backup.timer e2scrub_all.timer fstrim.timer man-db.timer
mkdir -p "$root/payload"
megabytes=$(($(du -sm "$root" | cut -f 1) * 13 / 10 + 100))
rm -f "$directory/root.img"
mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$root" "$directory/root.img" "${megabytes}M"
rm -rf "$root"
wanted_stamp >"$stamp"
say "ready"
