#!/usr/bin/env bash
# Make a PostgreSQL server available to the tests: the system's, else Debian's, unpacked below
# FOLDER. Prints the folder of its programs (initdb, postgres, psql, pg_dump).
# Never installed, also as root: the package would start a server of its own.
set -euo pipefail
folder=${1:?usage: postgres.sh FOLDER}

for place in $(command -v initdb || true) /usr/lib/postgresql/*/bin/initdb; do
    real=$(readlink -f "$place")
    if [ -x "$real" ] && [ -x "$(dirname "$real")/pg_dump" ]; then
        dirname "$real"
        exit 0
    fi
done
server=$(apt-cache depends postgresql 2> /dev/null | sed -n 's/^ *Depends: \(postgresql-[0-9]*\)$/\1/p')
server=${server:-postgresql-15}
"$(dirname "$0")/debian.sh" "$folder" "usr/lib/postgresql/${server#postgresql-}/bin/postgres" \
    "$server" "postgresql-client-${server#postgresql-}" > /dev/null
echo "$folder/usr/lib/postgresql/${server#postgresql-}/bin"
