#!/usr/bin/env bash
# Makes a venv of another CPython than Debian's, for `make fidelity PYTHON=...`.
#
#   scripts/second-python.sh PREFIX DIRECTORY [REQUIREMENTS]
#
# PREFIX is an installation, such as pyenv's ~/.pyenv/versions/3.13.0. Other users often can't enter
# its directory, so the script copies it below DIRECTORY. The venv gets the libraries of
# REQUIREMENTS; without that argument, those of the list in deploy/requirements that sites have on
# that version. The script prints the venv's Python at the end.
set -euo pipefail

if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: ${0##*/} PREFIX DIRECTORY [REQUIREMENTS]" >&2
    exit 64
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
prefix=$1
lists=$here/../deploy/requirements
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
case ${3-$("$directory/venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')} in
3.8 | 3.9 | 3.10) cp "$lists/quince.txt" "$directory/requirements.txt" ;;
3.11) cp "$lists/verawood-python3.11.txt" "$directory/requirements.txt" ;;
3.12) cp "$lists/verawood.txt" "$directory/requirements.txt" ;;
# numpy 1.26 has no wheel for Python 3.13.
3.*) sed 's/^numpy==.*/numpy==2.3.5/' "$lists/verawood.txt" >"$directory/requirements.txt" ;;
*) cp "$3" "$directory/requirements.txt" ;;
esac
"$directory/venv/bin/pip" install --disable-pip-version-check --no-input --no-deps --only-binary :all: \
    --requirement "$directory/requirements.txt"
"$directory/venv/bin/python" -m compileall -qq "$directory/base/lib" "$directory/venv/lib" || true
echo "$directory/venv/bin/python"
