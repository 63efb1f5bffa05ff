#!/usr/bin/env bash
# Puts wrk, a load generator, into the folder given: from PATH, else Debian's package, without root.
set -euo pipefail
folder=$1
if [ -x "$folder/wrk" ]; then exit 0; fi
mkdir -p "$folder"
if found=$(command -v wrk); then
  ln -sf "$found" "$folder/wrk"
  exit 0
fi
if ! command -v apt-get > /dev/null; then
  echo "wrk is missing: install it (https://github.com/wg/wrk) and try again" >&2
  exit 1
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
[ -n "$(ls /var/lib/apt/lists/*Packages* 2> /dev/null)" ] || apt-get update -qq
apt-get download -qq -o APT::Sandbox::User=root wrk libluajit-5.1-2 libluajit-5.1-common > /dev/null
for package in ./*.deb; do dpkg -x "$package" "$folder/root"; done
libraries=$(dirname "$(find "$folder/root" -name 'libluajit-5.1.so.2' | head -1)")
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$libraries" "$folder/root/usr/bin/wrk" > "$folder/wrk"
chmod +x "$folder/wrk"
