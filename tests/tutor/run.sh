#!/usr/bin/env bash
# Tutor renders configurations for Docker: this starts them in a real engine. It takes the engine
# and the images of `make test-docker`, and builds what is missing of them.
#
#   tests/tutor/run.sh CONTAINERS TUTOR TEST-VENV PYTHON-PREFIX
#
# CONTAINERS is the directory of tests/containers/run.sh, TUTOR that of tools.sh. As root.
set -euo pipefail

if [ $# -ne 4 ]; then
    echo "usage: ${0##*/} CONTAINERS TUTOR TEST-VENV PYTHON-PREFIX" >&2
    exit 64
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
containers=$(cd "$here/../containers" && pwd)
mkdir -p "$1"
directory=$(cd "$1" && pwd)
CODEJAIL_TEST_TUTOR=$(cd "$2" && pwd)
export CODEJAIL_TEST_TUTOR
venv=$(cd "$3" && pwd)
python=$("$4/bin/python3" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

"$containers/tools.sh" "$directory/tools"
"$containers/base-images.sh" "$directory/images" "$4"
echo "images: building; $directory/build.log"
for step in "$containers/build.sh $directory/images $python" "$venv/bin/python -m pytest -q $here/live_build.py"; do
    # shellcheck disable=SC2086 # words
    "$containers/engine.sh" "$directory/tools" "$directory" host -- $step >"$directory/build.log" 2>&1 || {
        tail -n 40 "$directory/build.log" >&2
        exit 1
    }
done
"$containers/engine.sh" "$directory/tools" "$directory" apart -- "$venv/bin/python" -m pytest "$here/live_started.py"
