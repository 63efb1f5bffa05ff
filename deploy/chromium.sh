#!/usr/bin/env bash
# Make a Chromium available to the tests: the system's, else Debian's, installed as root or
# unpacked below FOLDER without root.
set -euo pipefail
folder=${1:?usage: chromium.sh FOLDER}

found() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

if found; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    apt-get install -y --no-install-recommends chromium > /dev/null \
        || { apt-get update > /dev/null && apt-get install -y --no-install-recommends chromium > /dev/null; }
    found
    exit 0
fi
# Debian's own starter looks below /usr; the program itself is started here.
exec "$(dirname "$0")/debian.sh" "$folder" usr/lib/chromium/chromium chromium
