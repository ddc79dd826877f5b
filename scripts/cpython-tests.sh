#!/usr/bin/env bash
# Makes a venv of Debian's Python that has CPython's own tests, for `make fidelity-suites`.
#
#   scripts/cpython-tests.sh DIRECTORY
#
# Debian has the tests in a package of its own. The script unpacks the package into DIRECTORY and
# does not install it. To install it would upgrade the standard library, while venvs made with
# --copies keep the older interpreter. Sandboxes can read their venv, so the tests lie there, below
# site-packages/suites. Debian leaves test_sqlite3 out. If pyenv has installed the same version, the
# script takes test_sqlite3 from there.
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "usage: ${0##*/} DIRECTORY" >&2
    exit 64
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
"$here/install-packages.sh" suites
python=/usr/bin/python3
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

umask 022
mkdir -p "$1"
directory=$(cd "$1" && pwd)
[ ! -e "$directory/made" ] || exit 0

cd "$directory"
rm -rf deb venv
[ -e "$(compgen -G "libpython$version-testsuite_*.deb" | head -n 1)" ] || apt-get download "libpython$version-testsuite"
dpkg -x "libpython$version-testsuite"_*.deb deb
"$python" -m venv --copies venv
venv/bin/pip install --quiet --disable-pip-version-check --no-input six==1.17.0
suites=venv/lib/python$version/site-packages/suites
mkdir "$suites"
cp -r "/usr/lib/python$version/test" "$suites/"
cp -r "deb/usr/lib/python$version/test" "$suites/"
for sqlite in "$HOME/.pyenv/versions/$version".*/lib/python"$version"/test/test_sqlite3; do
    [ ! -d "$sqlite" ] || cp -r "$sqlite" "$suites/test/"
done
chmod -R a+rX venv
touch made
