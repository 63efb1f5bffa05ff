#!/usr/bin/env bash
# Make a Redis server available to the tests: the system's, else Debian's, unpacked below FOLDER.
# Never installed, also as root: the package would start a server of its own.
set -euo pipefail
folder=${1:?usage: redis.sh FOLDER}

command -v redis-server && exit 0
exec "$(dirname "$0")/debian.sh" "$folder" usr/bin/redis-server redis-server redis-tools
