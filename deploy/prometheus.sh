#!/usr/bin/env bash
# Make Prometheus, Alertmanager and node_exporter available, with promtool and amtool: the system's,
# else Debian's, unpacked below FOLDER. Never installed, also as root: the packages would start
# servers.
set -euo pipefail
folder=${1:?usage: prometheus.sh FOLDER}

found() {
    for name in prometheus promtool amtool; do command -v "$name" > /dev/null || return 1; done
    command -v alertmanager > /dev/null || command -v prometheus-alertmanager > /dev/null
}

if ! command -v node_exporter > /dev/null && ! command -v prometheus-node-exporter > /dev/null; then
    RECURSE=no "$(dirname "$0")/debian.sh" "$folder" usr/bin/prometheus-node-exporter \
        prometheus-node-exporter > /dev/null
fi
if found || [ -x "$folder/alertmanager" ]; then exit 0; fi
# Both are static; the rest is scripts of Prometheus' pages.
RECURSE=no "$(dirname "$0")/debian.sh" "$folder" usr/bin/prometheus \
    prometheus prometheus-alertmanager libjs-d3 libjs-jquery > /dev/null
target=$(cd "$folder" && pwd)
for name in promtool amtool; do ln -sf "usr/bin/$name" "$target/$name"; done
# Debian's Alertmanager opens its templates below /usr/share, which no option moves. The path in
# the program becomes a relative one of the same length, and the starter goes to where it leads.
LC_ALL=C sed 's|/usr/share/prometheus/alertmanager|usr/share/prometheus//alertmanager|g' \
    "$target/usr/bin/prometheus-alertmanager" > "$target/usr/bin/alertmanager"
chmod +x "$target/usr/bin/alertmanager"
# 200 MB of variants, of which the pages load one.
find "$target/usr/share/javascript/moment-timezone" -type f \
    ! -name 'moment-timezone-with-data*.min.js' -delete 2> /dev/null || true
cat > "$target/.alertmanager" << STARTER
#!/bin/sh
cd "$target" && exec ./usr/bin/alertmanager "\$@"
STARTER
chmod +x "$target/.alertmanager"
# Late, so that an interrupted run leaves none that looks complete.
mv "$target/.alertmanager" "$target/alertmanager"
rm "$target/usr/bin/prometheus-alertmanager"
