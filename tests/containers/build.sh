#!/usr/bin/env bash
# Builds the image from this directory as README says, on base images that are imported under their
# official names. It runs beside an engine (engine.sh host). DIRECTORY has the base images
# (base-images.sh).
#
#   tests/containers/build.sh DIRECTORY PYTHON-VERSION
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ $# -ne 2 ]; then
    echo "usage: ${0##*/} DIRECTORY PYTHON-VERSION" >&2
    exit 64
fi
images=$1 python=$2

# Imports an archive only if it has changed: images that are built on it are cached by its id.
import() { # ARCHIVE NAME [CHANGE...]
    local archive=$images/$1.tar name=$2 changes=() stamp change
    shift 2
    for change in "$@"; do
        changes+=(--change "$change")
    done
    stamp=$(stat --format '%Y-%s' "$archive")
    if [ "$(docker inspect --format '{{.Config.Labels.stamp}}' "$name" 2>/dev/null)" != "$stamp" ]; then
        docker import "${changes[@]}" --change "LABEL stamp=$stamp" "$archive" "$name"
    fi
}
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
import debian debian:bookworm-slim "ENV PATH=$path"
import python "python:$python-slim-bookworm" "ENV PATH=/usr/local/bin:$path" "ENV LANG=C.UTF-8"
import rust rust:1.95-slim-bookworm "ENV PATH=/usr/local/cargo/bin:$path" "ENV CARGO_HOME=/usr/local/cargo"

# The classic builder, whose commands every builder understands. Builds reach registries over the
# host's network.
export DOCKER_BUILDKIT=0
docker build --network host --build-arg "SANDBOX_PY_VER=$python" --build-arg "REVISION=$(git rev-parse HEAD)" \
    --tag codejail --file deploy/docker/Dockerfile .
docker build --network host --build-arg "SANDBOX_PY_VER=$python" --target apparmor \
    --tag codejail-apparmor --file deploy/docker/Dockerfile .
