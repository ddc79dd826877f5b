#!/usr/bin/env bash
# Makes a venv of another CPython than Debian's, for `make fidelity PYTHON=...`.
#
#   scripts/second-python.sh PREFIX DIRECTORY
#
# PREFIX is an installation, such as pyenv's ~/.pyenv/versions/3.13.0. Other users often can't enter
# its directory, so the script copies it below DIRECTORY. The venv gets the libraries of
# deploy/requirements/verawood-python3.11.txt, but a newer numpy, since 1.26 is not made for Python
# 3.13. The script prints the venv's Python at the end.
set -euo pipefail

if [ $# -ne 2 ]; then
    echo "usage: ${0##*/} PREFIX DIRECTORY" >&2
    exit 64
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
prefix=$1
numpy=numpy==2.3.5
"$here/install-packages.sh" python

umask 022
mkdir -p "$2"
directory=$(cd "$2" && pwd)
trap 'rm -rf "$directory/base.build"' EXIT
rm -rf "$directory/base.build" "$directory/base" "$directory/venv"
cp -a "$prefix" "$directory/base.build"
chmod -R a+rX "$directory/base.build"
mv -T "$directory/base.build" "$directory/base"
if compgen -G "$directory/base/lib/libpython*.so.*" >/dev/null; then
    for binary in "$directory"/base/bin/python3.[0-9] "$directory"/base/bin/python3.[0-9][0-9]; do
        [ ! -e "$binary" ] || patchelf --set-rpath "$directory/base/lib" "$binary"
    done
fi

"$directory/base/bin/python3" -m venv --copies "$directory/venv"
sed "s/^numpy==.*/$numpy/" "$here/../deploy/requirements/verawood-python3.11.txt" >"$directory/requirements.txt"
"$directory/venv/bin/pip" install --disable-pip-version-check --no-input --no-deps --only-binary :all: \
    --requirement "$directory/requirements.txt"
"$directory/venv/bin/python" -m compileall -qq "$directory/base/lib" "$directory/venv/lib" || true
echo "$directory/venv/bin/python"
