#!/usr/bin/env bash
# `make test-docker`: builds the images with Debian's Docker engine, and runs the tests beside it.
#
#   tests/containers/run.sh DIRECTORY TEST-VENV PYTHON-PREFIX [PYTEST-ARGUMENT...]
#
# DIRECTORY keeps the engine, base images and images; a second run builds what has changed. The
# images are made for the version of the CPython in PYTHON-PREFIX. With arguments pytest runs the
# tests that they name, beside an engine in a network of its own. Without arguments all tests run,
# and the modes of user namespaces beside an engine that has them. As root.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: ${0##*/} DIRECTORY TEST-VENV PYTHON-PREFIX [PYTEST-ARGUMENT...]" >&2
    exit 64
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ "$(id -u)" -eq 0 ] || { echo "${0##*/}: an engine takes root" >&2 && exit 1; }
mkdir -p "$1"
directory=$(cd "$1" && pwd)
venv=$(cd "$2" && pwd)
prefix=$3
[ -x "$prefix/bin/python3" ] || {
    echo "${0##*/}: no CPython in ${prefix:-the prefix}: PYTHON_PREFIX= names an installation, such as pyenv's" >&2
    exit 1
}
shift 3
python=$("$prefix/bin/python3" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
export PATH=$venv/bin:$PATH

# Each has an engine of its own, and leaves the next one only images.
engine() { "$here/engine.sh" "$directory/tools" "$@"; }
tests=("$venv/bin/python" -m pytest)
quietly() {
    "$@" >>"$directory/build.log" 2>&1 || {
        tail -n 40 "$directory/build.log" >&2
        exit 1
    }
}

"$here/tools.sh" "$directory/tools"
"$here/base-images.sh" "$directory/images" "$prefix"
echo "images: building; $directory/build.log"
: >"$directory/build.log"
quietly engine "$directory" host -- "$here/build.sh" "$directory/images" "$python"
quietly engine "$directory" host -- "$here/extra.sh" "$python"
grep '^sandbox: ' "$directory/build.log" | sort -u || true

if [ $# -gt 0 ]; then
    engine "$directory" apart -- "${tests[@]}" "$@"
    exit
fi
engine "$directory" apart -- "${tests[@]}" "$here"/live_{image,life,compose,modes}.py

# An engine that maps users has images of its own. It maps 65,536 ids, as Kubernetes and rootless
# engines do.
remapped=$directory/remapped
trap 'rm -rf "$remapped"' EXIT
mkdir -p "$remapped"
quietly engine "$directory" host -- docker save --output "$remapped/codejail.tar" codejail
quietly engine "$remapped" apart --userns-remap=nobody:nogroup -- docker load --input "$remapped/codejail.tar"
export CODEJAIL_TEST_REMAPPED=yes
engine "$remapped" apart --userns-remap=nobody:nogroup -- "${tests[@]}" "$here/live_modes.py"
