#!/usr/bin/env bash
# Make wrk, a load generator, available: the system's, else Debian's, unpacked below FOLDER.
set -euo pipefail
folder=${1:?usage: wrk.sh FOLDER}

command -v wrk && exit 0
exec "$(dirname "$0")/../deploy/debian.sh" "$folder" usr/bin/wrk wrk
