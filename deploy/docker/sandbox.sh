#!/usr/bin/env bash
# A step of the Dockerfile: makes /sandbox/venv, and /stdlib with the bytecode of Python's standard
# library, which the official image comes without. Reads the build arguments of its stage.
set -euo pipefail

requirements=${SANDBOX_REQUIREMENTS:?}
if [ -n "${SANDBOX_DEPS_REPO-}" ]; then
    git clone --quiet --depth 1 ${SANDBOX_DEPS_VERSION:+--branch "$SANDBOX_DEPS_VERSION"} "$SANDBOX_DEPS_REPO" /deps
    requirements=/deps/${SANDBOX_DEPS_SRC_DIR:?}/${SANDBOX_DEPS_SRC_FILE:?}
fi

# Split as a shell would: spaces and lines between requirements, quotes around one that has spaces.
extra=()
while IFS= read -r requirement; do
    [ -z "$requirement" ] || extra+=(--extra "$requirement")
done < <(xargs --no-run-if-empty -n 1 printf '%s\n' <<<"${EXTRA_PIP_REQUIREMENTS-}")

deploy/sandbox-venv.sh create /sandbox/venv --python "$(command -v python3)" --requirements "$requirements" "${extra[@]}"

python3 -m compileall -qq -j 0 /usr/local/lib/python3.*
mkdir /stdlib
(cd /usr/local/lib && find python3.* -path '*/site-packages' -prune -o -name '*.pyc' -print0 |
    tar --create --null --files-from - | tar --extract --directory /stdlib)
echo "sandbox: /sandbox/venv $(du -sm /sandbox/venv | cut -f 1) MB, bytecode of the standard library $(du -sm /stdlib | cut -f 1) MB"
