#!/usr/bin/env bash
# Tests that two clean clones, in directories with names of different lengths, give the same bytes.
#
#   scripts/test-release.sh TARGET
#
# TARGET/tools has the tools. The script builds the last commit, not the files of this working tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -ne 1 ]; then
    echo "usage: ${0##*/} TARGET" >&2
    exit 64
fi
target=$(cd "$1" && pwd)
# In TARGET, whose file system has the space that two builds need.
work=$(mktemp -d "$target/release-test-XXXXXX")
trap 'rm -rf "$work"' EXIT

# Make both clones before the first build, since somebody may commit meanwhile.
for clone in one the-other-one; do
    git clone --quiet --no-hardlinks . "$work/$clone"
done
for clone in one the-other-one; do
    mkdir "$work/$clone/target"
    ln -s "$target/tools" "$work/$clone/target/tools"
    (cd "$work/$clone" && env -u CARGO_TARGET_DIR scripts/package.sh release target) >"$work/$clone.log" 2>&1 || {
        tail -n 20 "$work/$clone.log"
        exit 1
    }
done
diff "$work/one/target/dist/out/SHA256SUMS" "$work/the-other-one/target/dist/out/SHA256SUMS"
cat "$work/one/target/dist/out/SHA256SUMS"
# No path of this machine may be in these files.
for file in codejail libcodejail_worker.so codejail-api-tests; do
    if grep -qF -e "$work" -e "${CARGO_HOME:-$HOME/.cargo}" -e "$(rustc --print sysroot)" "$work/one/target/dist/dist/$file"; then
        echo "${0##*/}: $file has a path of this machine in it" >&2
        exit 1
    fi
done
echo "release: two clones gave the same bytes"
