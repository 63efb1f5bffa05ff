#!/usr/bin/env bash
# Make a Chromium available to the tests: the system's, else Debian's, installed as root or
# unpacked below FOLDER without root.
set -euo pipefail
folder=${1:?usage: chromium.sh FOLDER}

found() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

if found; then exit 0; fi
if ! command -v apt-get > /dev/null; then
    echo "chromium: there is none, and no apt-get to take it from; install Chromium and try again" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    apt-get install -y --no-install-recommends chromium > /dev/null \
        || { apt-get update > /dev/null && apt-get install -y --no-install-recommends chromium > /dev/null; }
    found
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
options=()
cd_download() { (cd "$work" && apt-get "${options[@]}" download "$@" > /dev/null); }
if ! cd_download chromium 2> /dev/null; then
    # No package lists that we may read: private ones, for which no root is needed.
    mkdir -p "$work"/state/lists/partial "$work"/cache/archives/partial
    options=(-o "Dir::State=$work/state" -o "Dir::State::lists=$work/state/lists"
        -o Dir::State::status=/var/lib/dpkg/status -o "Dir::Cache=$work/cache"
        -o Debug::NoLocking=true -o APT::Sandbox::User= -o APT::Update::Post-Invoke=)
    apt-get "${options[@]}" update > /dev/null
    cd_download chromium
fi
# Its libraries, less those that the machine has.
mapfile -t needed < <(
    apt-cache "${options[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts \
        --no-breaks --no-replaces --no-enhances chromium | grep '^[a-z0-9]' | sort -u
)
for package in "${needed[@]}"; do
    dpkg -s "$package" > /dev/null 2>&1 || cd_download "$package" 2> /dev/null || true
done
mkdir -p "$folder"
target=$(cd "$folder" && pwd)
for archive in "$work"/*.deb; do dpkg -x "$archive" "$target"; done
# Debian's starter looks below /usr; this one looks below the folder.
cat > "$target/usr/bin/chromium" << STARTER
#!/bin/sh
here=$target
export LD_LIBRARY_PATH="\$here/usr/lib/x86_64-linux-gnu:\$here/lib/x86_64-linux-gnu\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
exec "\$here/usr/lib/chromium/chromium" "\$@"
STARTER
chmod +x "$target/usr/bin/chromium"
"$target/usr/bin/chromium" --version
