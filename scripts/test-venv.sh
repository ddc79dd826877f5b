#!/usr/bin/env bash
# Makes the virtual environment that the tests run in: pytest, ruff, jsonschema and the
# real client, as pinned in tests/requirements.txt. REQUIREMENTS names another list.
#
#   scripts/test-venv.sh DIRECTORY [REQUIREMENTS]
#
# No sandbox's user has to read it, so it may lie in the checkout. A finished environment has a
# stamp. While the list and Python stay the same, the script does nothing.
set -euo pipefail

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: ${0##*/} DIRECTORY [REQUIREMENTS]" >&2
    exit 64
fi
venv=$1
requirements=${2:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/tests/requirements.txt}
python=/usr/bin/python3
stamp=$venv/.made-by-test-venv

wanted_stamp() {
    { "$python" -VV && cat "$requirements"; } | sha256sum
}

if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$(wanted_stamp)" ]; then
    exit 0
fi

echo "venv: building $venv from $requirements; about a minute"
mkdir -p "$(dirname "$venv")"
"$python" -m venv --clear "$venv"
"$venv/bin/pip" install --disable-pip-version-check --no-input --no-deps \
    --requirement "$requirements"
"$venv/bin/pip" --disable-pip-version-check check
wanted_stamp >"$stamp"
echo "venv: ready"
