#!/usr/bin/env bash
# Makes venvs of the other Pythons that sites run and that are installed here, for the short form
# of the fidelity suite. Debian's own is not among them: the other tests have it.
#
#   scripts/test-pythons.sh DIRECTORY
#
# The script looks for each Python where pyenv installs it, and makes DIRECTORY/python-3.12/venv and
# so on, with the libraries of tests/fidelity/requirements.txt. A venv that is there already stays
# as it is; scripts/second-python.sh can make it with all libraries. If a Python is not installed,
# the script says so, and its tests are skipped.
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "usage: ${0##*/} DIRECTORY" >&2
    exit 64
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

for version in 3.8 3.9 3.10 3.12 3.13; do
    directory=$1/python-$version
    [ ! -x "$directory/venv/bin/python" ] || continue
    prefix=$(compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version.*" | sort -V | tail -n 1 || true)
    if [ -z "$prefix" ]; then
        echo "test pythons: no CPython $version is installed by pyenv: not tested"
        continue
    fi
    echo "test pythons: $prefix"
    "$here/second-python.sh" "$prefix" "$directory" "$here/../tests/fidelity/requirements.txt" >/dev/null
done
