#!/bin/bash
# restart-apiserver.sh PIDFILE [FLAG…]: stops the API server whose process id is in the file, and starts it again in the same
# way, with these flags too; the next restart drops them.
# For clusters whose API server is a plain process of this machine; to be called in that process's network.
set -euo pipefail
pidfile=$1
shift
pid=$(cat "$pidfile")
# The file may name the process that started the server; the server is then its only child.
while read -r child; do [ -z "$child" ] || pid=$child; done < <(pgrep -P "$pid" || true)
mapfile -d '' -t command <"/proc/$pid/cmdline"
# How many of its last words an earlier restart has added.
added=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^RESTART_ADDED_FLAGS=//p')
command=("${command[@]:0:${#command[@]}-${added:-0}}")
directory=$(readlink "/proc/$pid/cwd")
# By the first signal it stops in order, and waits up to a minute for its watches; by the second it ends.
for patience in 50 300; do
  kill -TERM "$pid" 2>/dev/null || true
  for _ in $(seq "$patience"); do [ -e "/proc/$pid" ] || break 2; sleep 0.1; done
done
cd "$directory"
RESTART_ADDED_FLAGS=$# setsid "${command[@]}" "$@" >/dev/null 2>&1 </dev/null &
echo $! >"$pidfile"
