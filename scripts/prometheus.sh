#!/usr/bin/env bash
# Puts prometheus and promtool into DIRECTORY: the installed programs, or else those from Debian's
# package. The script unpacks the package and does not install it, since the package would start a
# server on port 9090 of every address of this host.
#
#   scripts/prometheus.sh DIRECTORY
#
# The first time takes ten seconds and downloads 20 MB; later calls do nothing. Needs no root, but
# package lists (`apt-get update`).
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "usage: ${0##*/} DIRECTORY" >&2
    exit 64
fi
directory=$1

both_answer() {
    "$directory/prometheus" --version >/dev/null 2>&1 && "$directory/promtool" --version >/dev/null 2>&1
}

both_answer && exit 0
mkdir -p "$directory"
if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
    ln -sf "$(command -v prometheus)" "$(command -v promtool)" "$directory/"
else
    download=$(mktemp -d)
    trap 'rm -rf "$download"' EXIT
    if [ "$(id -u)" -eq 0 ] && ! apt-cache show prometheus >/dev/null 2>&1; then
        apt-get -q update
    fi
    echo "Unpacking Debian's prometheus into $directory"
    (cd "$download" && apt-get -q download prometheus 2>apt.log) || { cat "$download/apt.log" >&2 && exit 1; }
    dpkg-deb --extract "$download"/prometheus_*.deb "$download/tree"
    install "$download/tree/usr/bin/prometheus" "$download/tree/usr/bin/promtool" "$directory/"
fi
if ! both_answer; then
    echo "${0##*/}: $directory/prometheus does not start" >&2
    exit 1
fi
