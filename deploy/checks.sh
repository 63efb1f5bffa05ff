#!/usr/bin/env bash
# Make the checkers of manifests and container files available below FOLDER: an environment of
# their own, for they bring more packages than the project has. Prints the environment's folder.
#   deploy/checks.sh FOLDER
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:?usage: checks.sh FOLDER}
wanted=$root/deploy/checks/requirements.lock
uv=$(command -v "$root/.bootstrap/bin/uv" || command -v uv)

if ! cmp -s "$wanted" "$folder/.installed"; then
    rm -rf "$folder"
    "$uv" venv --quiet --python "${PYTHON:-python3}" "$folder" >&2
    VIRTUAL_ENV=$folder "$uv" pip install --quiet --require-hashes -r "$wanted" >&2
    # Last, so that an interrupted run leaves none that looks complete.
    cp "$wanted" "$folder/.installed"
fi
echo "$folder"
