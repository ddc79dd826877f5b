#!/usr/bin/env bash
# Builds what is published.
#
#   scripts/package.sh deb TARGET        the Debian package
#   scripts/package.sh release TARGET    that, and a tarball, licences, SBOM and checksums
#
# TARGET is cargo's target directory, in which TARGET/tools/bin has the tools (see Makefile).
# The results lie in TARGET/dist/out. The same commit gives the same bytes wherever its
# clone lies: no path of this machine is in them, and no time but the commit's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -ne 2 ] || [[ $1 != deb && $1 != release ]]; then
    echo "usage: ${0##*/} deb|release TARGET" >&2
    exit 64
fi
what=$1
mkdir -p "$2"
target=$(cd "$2" && pwd)
tools=$target/tools/bin
# The metadata for cargo-deb in supervisor/Cargo.toml names this directory by its path.
generated=$PWD/target/dist/generated
out=$target/dist/out
built=$target/dist/dist

umask 022
export LC_ALL=C TZ=UTC
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
export CARGO_TARGET_DIR=$target/dist
cargo_home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot)
export RUSTFLAGS="--remap-path-prefix=$PWD=/codejail --remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$sysroot=/rust"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)

say() { echo "package: $*"; }

say "building $version"
cargo build --profile dist --locked -p codejail -p codejail-worker -p codejail-api-tests -p codejail-manual

rm -rf "$generated" "$out"
mkdir -p "$generated" "$out"
"$built/codejail-manual" "$generated"
say "licences"
# For all targets: otherwise cargo could not list the dependencies without the network.
cargo fetch --locked
"$tools/cargo-about" about generate --frozen --fail --config deploy/release/about.toml \
    --manifest-path supervisor/Cargo.toml deploy/release/third-party.hbs >"$generated/THIRD-PARTY.txt"
# Debian's changelog is about the package; CHANGELOG.md has the changes of the program.
cat >"$generated/changelog" <<EOT
codejail ($version-1) stable; urgency=medium

  * Version $version. CHANGELOG.md of the source has what is new.

 -- $(sed -n 's/^authors = \["\(.*\)"\]$/\1/p' Cargo.toml)  $(date -R -d "@$SOURCE_DATE_EPOCH")
EOT

say "package"
"$tools/cargo-deb" deb --locked --no-build -p codejail --output "$out/"
[ "$what" = release ] || { ls -l "$out"; exit 0; }

say "tarball and SBOM"
name=codejail-$version-$(uname -m)-linux-gnu
tree=$target/dist/$name
rm -rf "$tree"
mkdir -p "$tree"/{lib,apparmor,deploy,docs,man,completions}
cp "$built"/{codejail,libcodejail_worker.so,codejail-api-tests} "$tree/lib/"
cp -r apparmor/{3,4,compat,codejail.d,tunables} "$tree/apparmor/"
cp -r deploy/{apparmor.sh,sandbox-venv.sh,switch.sh,config,requirements,systemd} "$tree/deploy/"
cp docs/*.md "$tree/docs/"
cp "$generated"/*.1 "$tree/man/"
cp "$generated"/{codejail.bash,_codejail,codejail.fish} "$tree/completions/"
cp README.md CHANGELOG.md SECURITY.md LICENSE "$generated/THIRD-PARTY.txt" "$tree/"
tar --create --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    --format=gnu --directory "$target/dist" "$name" | gzip -9n >"$out/$name.tar.gz"
rm -rf "$tree"
sbom=codejail-$version.cdx
"$tools/cargo-cyclonedx" cyclonedx --manifest-path supervisor/Cargo.toml --format json \
    --target x86_64-unknown-linux-gnu --override-filename "$sbom" >/dev/null
# The SBOM names the workspace's members by their paths.
sed "s|file://$PWD|file:///codejail|g" "supervisor/$sbom.json" >"$out/$sbom.json"
# The tool writes a file for every member of the workspace, beside its manifest.
find . -path ./target -prune -o -name "$sbom.json" -type f -exec rm {} +
(cd "$out" && sha256sum -- * >SHA256SUMS)
ls -l "$out"
