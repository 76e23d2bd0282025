#!/bin/bash
# restart-apiserver.sh PIDFILE: ends the API server whose process id stands in the file, and starts it again as it was. For
# clusters whose API server is a plain process of this machine, called in that process's network.
set -euo pipefail
pidfile=$1
pid=$(cat "$pidfile")
# The file may name what started the server; the server itself is that process or its only child.
while read -r child; do [ -z "$child" ] || pid=$child; done < <(pgrep -P "$pid" || true)
mapfile -d '' -t command <"/proc/$pid/cmdline"
directory=$(readlink "/proc/$pid/cwd")
kill -TERM "$pid"
for _ in $(seq 300); do [ -e "/proc/$pid" ] || break; sleep 0.1; done
cd "$directory"
setsid "${command[@]}" >/dev/null 2>&1 </dev/null &
echo $! >"$pidfile"
