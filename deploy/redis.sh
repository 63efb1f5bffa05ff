#!/usr/bin/env bash
# Make a Redis server available to the tests: the system's, else Debian's, unpacked below FOLDER.
# Never installed, also as root: the package would start a server of its own.
set -euo pipefail
folder=${1:?usage: redis.sh FOLDER}

if command -v redis-server || { test -x "$folder/redis-server" && echo "$folder/redis-server"; }; then
    exit 0
fi
if ! command -v apt-get > /dev/null; then
    echo "redis: there is none, and no apt-get to take it from; install redis-server and try again" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The download runs as whoever calls this, also below a folder that apt's own user can not enter.
options=(-o APT::Sandbox::User=)
cd_download() { (cd "$work" && apt-get "${options[@]}" download "$@" > /dev/null); }
if ! cd_download redis-server redis-tools 2> /dev/null; then
    # No package lists that we may read: private ones, for which no root is needed.
    mkdir -p "$work"/state/lists/partial "$work"/cache/archives/partial
    options+=(-o "Dir::State=$work/state" -o "Dir::State::lists=$work/state/lists"
        -o Dir::State::status=/var/lib/dpkg/status -o "Dir::Cache=$work/cache"
        -o Debug::NoLocking=true -o APT::Update::Post-Invoke=)
    apt-get "${options[@]}" update > /dev/null
    cd_download redis-server redis-tools
fi
# Its libraries, less those that the machine has.
mapfile -t needed < <(
    apt-cache "${options[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts \
        --no-breaks --no-replaces --no-enhances redis-tools | grep '^lib' | sort -u
)
for package in "${needed[@]}"; do
    dpkg -s "$package" > /dev/null 2>&1 || cd_download "$package" 2> /dev/null || true
done
mkdir -p "$folder"
target=$(cd "$folder" && pwd)
for archive in "$work"/*.deb; do dpkg -x "$archive" "$target"; done
cat > "$work/redis-server" << STARTER
#!/bin/sh
here=$target
for folder in "\$here"/usr/lib/*-linux-gnu* "\$here"/lib/*-linux-gnu*; do
    LD_LIBRARY_PATH="\$folder\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
done
export LD_LIBRARY_PATH
exec "\$here/usr/bin/redis-server" "\$@"
STARTER
chmod +x "$work/redis-server"
"$work/redis-server" --version > /dev/null
# Last, so that an interrupted run leaves none that looks complete.
mv "$work/redis-server" "$target/redis-server"
echo "$target/redis-server"
