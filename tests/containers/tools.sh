#!/usr/bin/env bash
# Unpacks Debian's Docker engine into DIRECTORY. The script does not install it, since that would
# start an engine for everybody.
#
#   tests/containers/tools.sh DIRECTORY
#
# The first time takes seconds and downloads 70 MB; later calls do nothing.
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "usage: ${0##*/} DIRECTORY" >&2
    exit 64
fi
packages=(containerd docker.io iptables libdevmapper1.02.1 libip4tc2 libip6tc2 libxtables12 runc)
mkdir -p "$1"
directory=$(cd "$1" && pwd)
libraries() { echo "$directory"/usr/lib/*-linux-gnu; }
answer() { "$directory/usr/sbin/dockerd" --version && "$directory/usr/bin/containerd" --version &&
    "$directory/usr/bin/docker" --version && "$directory/usr/sbin/runc" --version && LD_LIBRARY_PATH=$(libraries) "$directory/usr/sbin/iptables" --version; }

if answer >/dev/null 2>&1; then
    exit 0
fi
download=$(mktemp -d)
trap 'rm -rf "$download"' EXIT
if ! apt-cache show docker.io >/dev/null 2>&1; then
    apt-get -q update
fi
echo "Unpacking Debian's docker.io into $directory"
(cd "$download" && apt-get -q download "${packages[@]}" 2>apt.log) || { cat "$download/apt.log" >&2 && exit 1; }
for package in "$download"/*.deb; do
    dpkg-deb --extract "$package" "$directory"
done
# The old interface: kernels that lack modules for the matches of nftables have it, too.
ln -sfn xtables-legacy-multi "$directory/usr/sbin/iptables"
ln -sfn xtables-legacy-multi "$directory/usr/sbin/ip6tables"
answer >/dev/null
