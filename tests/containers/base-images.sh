#!/usr/bin/env bash
# Makes the base images that the Dockerfile names, as archives for `docker import`: from Debian's
# packages and from what this machine has of Rust and Python, since tests ask no registry of images.
#
#   tests/containers/base-images.sh DIRECTORY PYTHON-PREFIX
#
# PYTHON-PREFIX is an installation of CPython, such as pyenv's ~/.pyenv/versions/3.12.1: it goes to
# /usr/local, as in the official image. DIRECTORY gets debian.tar, python.tar and rust.tar. Each
# stands for an official image: it has what the Dockerfile relies on, at the same places, and no
# more. As root, since mmdebstrap makes device files.
set -euo pipefail

if [ $# -ne 2 ]; then
    echo "usage: ${0##*/} DIRECTORY PYTHON-PREFIX" >&2
    exit 64
fi
mkdir -p "$1"
directory=$(cd "$1" && pwd)
prefix=$2
sysroot=$(rustc --print sysroot)
say() { echo "base images: $*"; }

stamp=$directory/stamp
wanted_stamp() { { cat "${BASH_SOURCE[0]}" && rustc -V && "$prefix/bin/python3" -VV; } | sha256sum; }
if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$(wanted_stamp)" ]; then
    exit 0
fi
rm -f "$stamp"
root=$directory/root
trap 'rm -rf "$root"' EXIT

mirror=$("$(dirname "${BASH_SOURCE[0]}")/../../scripts/debian-mirror.sh")

# Debian's slim image has no documentation, no translations and no man pages either.
debian() { # PACKAGES: makes $root
    rm -rf "$root"
    mmdebstrap --quiet --mode=root --variant=minbase ${1:+--include="$1"} \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        bookworm "$root" "$mirror"
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    # The authorities that this machine trusts, for pip, cargo and git.
    [ ! -d "$root/etc/ssl/certs" ] || cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
}
archive() { # NAME
    tar --create --numeric-owner --file "$directory/$1.tar.part" --directory "$root" .
    mv "$directory/$1.tar.part" "$directory/$1.tar"
}

say "Debian, from $mirror; two minutes for all"
debian ''
archive debian

say "Python, from $prefix"
debian ca-certificates,netbase,tzdata,libbz2-1.0,libcrypt1,libexpat1,libffi8,liblzma5,libncursesw6,libreadline8,libsqlite3-0,libssl3,libtirpc3,libuuid1,zlib1g
cp -a "$prefix"/{bin,include,lib} "$root/usr/local/"
# As the official image: no tests, nothing compiled, no static library.
find "$root/usr/local" -depth \( -type d \( -name test -o -name tests -o -name idle_test -o -name __pycache__ \) -o \
    -type f \( -name '*.pyc' -o -name 'libpython*.a' \) \) -exec rm -rf {} +
rm -rf "$root"/usr/local/lib/python*/site-packages/*
"$prefix/bin/python3" -m pip --disable-pip-version-check --quiet install --no-compile --ignore-installed \
    --root "$root/pip" --prefix /usr/local pip setuptools
cp -a "$root"/pip/usr/local/. "$root/usr/local/"
rm -rf "$root/pip"
[ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/"
chroot "$root" ldconfig
chroot "$root" /usr/local/bin/python3 -c 'import bz2, ctypes, lzma, readline, sqlite3, ssl, venv, zlib'
archive python

say "Rust, from $sysroot"
debian ca-certificates,gcc,libc6-dev
mkdir -p "$root"/usr/local/{cargo,rustup}
tar --create --directory "$sysroot" --exclude share . | tar --extract --directory "$root/usr/local/rustup"
for program in cargo rustc; do
    ln -s "../rustup/bin/$program" "$root/usr/local/bin/$program"
done
chroot "$root" cargo -V
archive rust

wanted_stamp >"$stamp"
say "ready"
