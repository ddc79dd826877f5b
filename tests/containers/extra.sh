#!/usr/bin/env bash
# Builds an image with libraries from git: the list comes from one repository, as that of
# codejail-service does, and a package with a data file from another. It runs beside an engine
# (engine.sh host), after build.sh.
#
#   tests/containers/extra.sh PYTHON-VERSION
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
daemon=
end() {
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT

repository() { # NAME: what lies in $work/NAME becomes one
    git -C "$work/$1" init --quiet --initial-branch main
    git -C "$work/$1" add .
    git -C "$work/$1" -c user.name=test -c user.email=test@example.org commit --quiet --message one
}

mkdir -p "$work"/pins/requirements/sandbox "$work"/grader/grader
echo 'six==1.17.0' >"$work/pins/requirements/sandbox/base.txt"
repository pins
cat >"$work/grader/pyproject.toml" <<'TOML'
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "grader"
version = "1.0"
dependencies = ["random2"]
[tool.setuptools.package-data]
grader = ["*.sql"]
TOML
cat >"$work/grader/grader/planets.sql" <<'SQL'
CREATE TABLE planet (name TEXT, moons INTEGER);
INSERT INTO planet VALUES ('Venus', 0), ('Earth', 1), ('Mercury', 0), ('Mars', 2);
SQL
cat >"$work/grader/grader/__init__.py" <<'PYTHON'
import sqlite3
from pathlib import Path


def grade(statement):
    database = sqlite3.connect(":memory:")
    database.executescript((Path(__file__).parent / "planets.sql").read_text())
    return [list(row) for row in database.execute(statement)]
PYTHON
repository grader

port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
git daemon --reuseaddr --export-all --listen=127.0.0.1 --port="$port" --base-path="$work" "$work" 2>"$work/daemon.log" &
daemon=$!
base=git://127.0.0.1:$port
deadline=$((SECONDS + 20))
until git ls-remote --quiet "$base/grader" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || { cat "$work/daemon.log" >&2 && exit 1; }
    sleep 0.1
done

DOCKER_BUILDKIT=0 docker build --network host --build-arg "SANDBOX_PY_VER=$1" \
    --build-arg "SANDBOX_DEPS_REPO=$base/pins" --build-arg SANDBOX_DEPS_VERSION=main \
    --build-arg "EXTRA_PIP_REQUIREMENTS='packaging >= 24' git+$base/grader#egg=grader" \
    --tag codejail-extra --file deploy/docker/Dockerfile .
