#!/usr/bin/env bash
# Makes the next package, with nothing new in it but the version.
#
#   deploy/debian/test/next.sh PACKAGE DIRECTORY
set -euo pipefail

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
dpkg-deb -R "$1" "$tree/package"
sed -i 's/^Version: .*/&.1/' "$tree/package/DEBIAN/control"
mkdir -p "$2"
dpkg-deb --root-owner-group -Zxz -z1 -b "$tree/package" "$2/" >/dev/null
