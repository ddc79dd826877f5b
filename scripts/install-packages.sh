#!/usr/bin/env bash
# Makes sure that the Debian packages that a task needs are installed.
#
#   scripts/install-packages.sh run     to build the service and to start it
#   scripts/install-packages.sh test    the same, and what the tests need
#   scripts/install-packages.sh python  what scripts/second-python.sh needs
#   scripts/install-packages.sh page    what the tests need, and a browser
#   scripts/install-packages.sh package to build the service and to make packages
#   scripts/install-packages.sh docker  what the tests need, and what makes base images
#   scripts/install-packages.sh vm      what the tests need, and what makes AppArmor's guests
#
# As root it installs the missing packages. As another user it prints the command that installs
# them, and exits 1. If nothing is missing it does nothing and exits 0.
set -euo pipefail

# One package per line: its name, and a command that succeeds once it is there. We ask the command,
# not the package database: a compiler from another source is as good.
packages_to_run='
gcc           command -v cc
libc6-dev     test -e /usr/include/stdio.h
python3       test -x /usr/bin/python3
python3-venv  /usr/bin/python3 -c "import ensurepip, venv"
curl          command -v curl
'
packages_to_test='
g++           command -v c++
shellcheck    command -v shellcheck
sudo          command -v sudo
apparmor      test -x /usr/sbin/apparmor_parser
iproute2      command -v ss
systemd       command -v systemd-analyze
valgrind      valgrind -q --tool=none true
docker-compose command -v docker-compose
libseccomp2   ldconfig -p | grep -q libseccomp.so.2
libc6-dbg     valgrind -q --tool=none true
'
packages_for_python='
patchelf      command -v patchelf
'
packages_for_page='
chromium      command -v chromium
chromium-driver command -v chromedriver
fonts-dejavu-core test -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
'
packages_for_package='
dpkg-dev      command -v dpkg-shlibdeps
lintian       command -v lintian
binutils      command -v objdump
'
packages_for_docker='
mmdebstrap    command -v mmdebstrap
debian-archive-keyring test -e /usr/share/keyrings/debian-archive-keyring.gpg
git           command -v git
iproute2      command -v ip
'
packages_for_vm='
qemu-system-x86 command -v qemu-system-x86_64
mmdebstrap    command -v mmdebstrap
e2fsprogs     test -x /usr/sbin/mke2fs -a -x /usr/sbin/debugfs
debian-archive-keyring test -e /usr/share/keyrings/debian-archive-keyring.gpg
'

case "${1-}" in
run) wanted=$packages_to_run ;;
test) wanted=$packages_to_run$packages_to_test ;;
python) wanted=$packages_for_python ;;
page) wanted=$packages_to_run$packages_to_test$packages_for_page ;;
package) wanted=$packages_to_run$packages_for_package ;;
docker) wanted=$packages_to_run$packages_to_test$packages_for_docker ;;
vm) wanted=$packages_to_run$packages_to_test$packages_for_vm ;;
*)
    echo "usage: ${0##*/} run|test|python|page|package|docker|vm" >&2
    exit 64
    ;;
esac

missing_of() { # prints the packages whose command fails
    local package is_there
    while read -r package is_there; do
        [ -n "$package" ] || continue
        sh -c "$is_there" >/dev/null 2>&1 </dev/null || echo "$package"
    done <<<"$1"
}

mapfile -t missing < <(missing_of "$wanted")
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "Not installed yet: ${missing[*]}. Please run this, then the same command again:" >&2
    echo "    sudo apt-get install ${missing[*]}" >&2
    exit 1
fi

echo "Installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install --yes --no-install-recommends "${missing[@]}" </dev/null

mapfile -t missing < <(missing_of "$wanted")
if [ "${#missing[@]}" -gt 0 ]; then
    echo "${0##*/}: installed, and still not usable: ${missing[*]}" >&2
    exit 1
fi
