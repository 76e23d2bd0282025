#!/bin/bash
# restart-apiserver.sh PIDFILE: stops the API server whose process id is in the file, and starts it again in the same way.
# For clusters whose API server is a plain process of this machine; to be called in that process's network.
set -euo pipefail
pidfile=$1
pid=$(cat "$pidfile")
# The file may name the process that started the server; the server is then its only child.
while read -r child; do [ -z "$child" ] || pid=$child; done < <(pgrep -P "$pid" || true)
mapfile -d '' -t command <"/proc/$pid/cmdline"
directory=$(readlink "/proc/$pid/cwd")
kill -TERM "$pid"
for _ in $(seq 300); do [ -e "/proc/$pid" ] || break; sleep 0.1; done
cd "$directory"
setsid "${command[@]}" >/dev/null 2>&1 </dev/null &
echo $! >"$pidfile"
