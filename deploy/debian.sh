#!/usr/bin/env bash
# Unpack a program of Debian's packages below FOLDER, without root and without installing it.
# Usage: debian.sh FOLDER PROGRAM PACKAGE...
# PROGRAM is its path in the packages; FOLDER/<name> starts it. Prints that path.
# RETRIES=0 gives up at once without a network.
# With RECURSE=no only what the packages themselves name comes along: enough for static programs.
set -euo pipefail
folder=${1:?usage: debian.sh FOLDER PROGRAM PACKAGE...} program=$2 name=$(basename "$2")
shift 2

if [ -x "$folder/$name" ]; then
    echo "$folder/$name"
    exit 0
fi
if ! command -v apt-get > /dev/null; then
    echo "$name: there is none, and no apt-get to take it from; install it and try again" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The download runs as whoever calls this, also below a folder that apt's own user can not enter.
options=(-o APT::Sandbox::User= -o "Acquire::Retries=${RETRIES:-3}")
cd_download() { (cd "$work" && apt-get "${options[@]}" download "$@" > /dev/null); }
if ! cd_download "$@" 2> /dev/null; then
    # No package lists that we may read: private ones, for which no root is needed.
    mkdir -p "$work"/state/lists/partial "$work"/cache/archives/partial
    options+=(-o "Dir::State=$work/state" -o "Dir::State::lists=$work/state/lists"
        -o Dir::State::status=/var/lib/dpkg/status -o "Dir::Cache=$work/cache"
        -o Debug::NoLocking=true -o APT::Update::Post-Invoke=)
    apt-get "${options[@]}" update > /dev/null
    cd_download "$@"
fi
# What it needs, less what the machine has.
depth=(--recurse)
if [ "${RECURSE:-yes}" = no ]; then depth=(); fi
mapfile -t needed < <(
    apt-cache "${options[@]}" depends "${depth[@]}" --no-recommends --no-suggests --no-conflicts \
        --no-breaks --no-replaces --no-enhances "$@" |
        sed -n 's/^ *|\?\(Pre\)\?\(Depends: \)\?\([a-z0-9][^ ]*\)$/\3/p' | sort -u
)
missing=()
for package in "${needed[@]}"; do
    dpkg -s "$package" > /dev/null 2>&1 || missing+=("$package")
done
# All at once; virtual packages can not be downloaded, and then it is one after the other.
if [ ${#missing[@]} -gt 0 ] && ! cd_download "${missing[@]}" 2> /dev/null; then
    for package in "${missing[@]}"; do cd_download "$package" 2> /dev/null || true; done
fi
mkdir -p "$folder"
target=$(cd "$folder" && pwd)
for archive in "$work"/*.deb; do dpkg -x "$archive" "$target"; done
cat > "$work/starter" << STARTER
#!/bin/sh
here=$target
for folder in "\$here"/usr/lib/*-linux-gnu* "\$here"/lib/*-linux-gnu*; do
    LD_LIBRARY_PATH="\$folder\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
done
export LD_LIBRARY_PATH
exec "\$here/$program" "\$@"
STARTER
chmod +x "$work/starter"
# Last, so that an interrupted run leaves none that looks complete.
mv "$work/starter" "$target/$name"
echo "$target/$name"
