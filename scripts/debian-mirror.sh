#!/usr/bin/env bash
# Prints the mirror of Debian that this machine's apt uses, for mmdebstrap.
set -euo pipefail

# shellcheck disable=SC2016 # apt's variables
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
    grep -v security | head -n 1) || true
[ -n "$mirror" ] || {
    echo "${0##*/}: apt knows no Debian mirror: set one up in /etc/apt and run apt-get update" >&2
    exit 1
}
echo "$mirror"
