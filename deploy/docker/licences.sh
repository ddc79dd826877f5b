#!/usr/bin/env bash
# A step of the Dockerfile: prints the licences of the Rust libraries that the programs contain,
# each with the texts that the library itself brings along. Fails if a library has none.
# cargo-about, which the package uses, would have to be compiled first, for minutes.
#
#   licences.sh PACKAGE...
set -euo pipefail

packages=()
for package; do packages+=(--package "$package"); done

while IFS='|' read -r library version licence; do
    directory=$(find "${CARGO_HOME:-$HOME/.cargo}"/registry/src -maxdepth 2 -name "$library-$version")
    texts=$(find "$directory" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'unlicense*' -o -iname 'copy*' \
        -o -iname 'notice*' \) | sort)
    [ -n "$texts" ] || { echo "licences: $library $version brings no text of its licence, $licence" >&2; exit 1; }
    printf '\n==== %s %s, %s\n' "$library" "$version" "$licence"
    while IFS= read -r text; do
        printf '\n'
        cat "$text"
    done <<<"$texts"
done < <(cargo tree --locked --edges normal --prefix none --format '{p}|{l}' "${packages[@]}" |
    # Our own have a path behind the version, procedural macros and repeated lines a mark.
    sed -n -e '/ (\//d' -e 's/ (\*)$//' -e 's/^\([^ ]*\) v\([^ |]*\)[^|]*|\(.*\)$/\1|\2|\3/p' | sort -u)
