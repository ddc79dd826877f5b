#!/usr/bin/env bash
# Makes the virtual environment whose Python runs the sandboxes.
#
#   codejail-venv create DIRECTORY [--python PYTHON] --requirements FILE [--extra REQUIREMENT]...
#
# A venv made with --copies, as the hosts of codejail-service have it, with the
# libraries of FILE (pins of pip, dependencies included), compiled ahead (sandboxes may
# not write .pyc files) and readable by every uid. PYTHON is /usr/bin/python3, if no
# other is named: one that every uid may execute, which pyenv's below a home is not.
#
# A finished venv carries a stamp; while list and Python stay the same there is nothing
# to do. A new one is built beside the old one and takes its place by a rename, so that
# what is found at DIRECTORY is always whole; a running service replaces its workers.
set -euo pipefail

usage() {
    echo "usage: ${0##*/} create DIRECTORY [--python PYTHON] --requirements FILE [--extra REQUIREMENT]..." >&2
    exit 64
}
say() { echo "sandbox venv: $*"; }
fail() {
    say "$*" >&2
    exit 1
}

if [ "${1-}" != create ] || [ $# -lt 2 ]; then
    usage
fi
target=$2
shift 2
python=/usr/bin/python3
requirements=
extra=()
while [ $# -ge 2 ]; do
    case $1 in
    --python) python=$2 ;;
    --requirements) requirements=$2 ;;
    --extra) extra+=("$2") ;;
    *) usage ;;
    esac
    shift 2
done
if [ $# -ne 0 ] || [ -z "$requirements" ]; then
    usage
fi
[ -r "$requirements" ] || fail "$requirements can't be read"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python does not have the modules venv and ensurepip: on Debian, apt-get install python3-venv"

mkdir -p "$(dirname "$target")"
venv=$(cd "$(dirname "$target")" && pwd)/$(basename "$target")
stamp=.made-by-sandbox-venv

wanted_stamp() {
    { "$python" -VV && cat "$requirements" "${BASH_SOURCE[0]}" && printf '%s\n' "${extra[@]}"; } | sha256sum
}

# Somebody else's venv is theirs. It is used as it is if it has every library
# of the list, in whatever version.
has_every_library() {
    "$1/bin/python" - "$requirements" <<'PYTHON'
import re
import sys
from importlib.metadata import distributions


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


with open(sys.argv[1], encoding="utf-8") as lines:
    named = (re.match(r"[\w.-]+", line) for line in lines)
    wanted = {canonical(match[0]) for match in named if match}
sys.exit(not wanted <= {canonical(d.metadata["Name"]) for d in distributions()})
PYTHON
}

is_ready() {
    if [ -e "$venv/$stamp" ]; then
        [ "$(cat "$venv/$stamp")" = "$(wanted_stamp)" ]
    elif [ ${#extra[@]} -eq 0 ] && [ -x "$venv/bin/python" ] && has_every_library "$venv"; then
        say "$venv was not made here and has every library: used as it is"
    else
        return 1
    fi
}

# One at a time: `make run` and `make test` may be started together.
exec 9<"$(dirname "$venv")"
flock 9

if is_ready; then
    exit 0
fi

# As root the sandboxes get uids of their own: those must reach it.
if [ "$(id -u)" -eq 0 ]; then
    # shellcheck disable=SC2016 # $1 is the inner shell's
    setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'cd "$1"' sh "$(dirname "$venv")" 2>/dev/null ||
        fail "other uids can't enter the directory of $venv: choose another directory"
fi

umask 022
build=$venv.build
trap 'rm -rf "$build"' EXIT
rm -rf "$build"

say "building $venv with $("$python" -V); about a minute"
"$python" -m venv --copies --prompt "$(basename "$venv")" "$build"
# The list is complete, so nothing is added to it; `pip check` proves that.
"$build/bin/pip" install --disable-pip-version-check --no-input --no-compile --no-deps \
    --requirement "$requirements"
[ ${#extra[@]} -eq 0 ] || "$build/bin/pip" install --disable-pip-version-check --no-input --no-compile \
    --constraint "$requirements" "${extra[@]}"
"$build/bin/pip" --disable-pip-version-check check

say "compiling"
# Exit status ignored: some libraries carry test files in Python 2. Tracebacks
# name the place where the venv will be.
"$build/bin/python" -m compileall -qq -j 0 -s "$build" -p "$venv" "$build/lib" || true
# What names the directory itself: pyvenv.cfg, the activate scripts and pip.
grep -rlI --null -F "$build" "$build/bin" "$build/pyvenv.cfg" | xargs -0 sed -i "s|$build|$venv|g"
chmod -R a+rX "$build"
# By a uid that sandboxes might have. They need six, as the original's do.
as_another=()
[ "$(id -u)" -ne 0 ] || as_another=(setpriv --reuid=65534 --regid=65534 --clear-groups)
"${as_another[@]}" "$build/bin/python" -B -c 'import six' ||
    fail "another uid can't use it: is six in $requirements, and may every uid read $("$python" -c 'import sys; print(sys.base_prefix)')?"
wanted_stamp >"$build/$stamp"

if [ -e "$venv" ]; then
    if [ -e "$venv/$stamp" ]; then
        before=$venv.outdated
        rm -rf "$before"
    else
        before=$(mktemp -d "$venv.before-XXXXXX")
        rmdir "$before"
        say "$venv was not made here and is not complete: moved to $before"
    fi
    mv -T "$venv" "$before"
fi
mv -T "$build" "$venv"
rm -rf "$venv.outdated"
say "ready"
