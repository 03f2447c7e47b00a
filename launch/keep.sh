#!/usr/bin/env bash
# Keeps one process of a kit running, as systemd does in a hospital (launch/hospital/): keep.sh KIT server listen | site join
set -uo pipefail
kit=$1
cd "$(dirname "$0")/.." || exit 1
# The engine starts every job in a session of its own: its processes are found by their parents.
descendants() {
  local child
  for child in $(ps -o pid= --ppid "$1"); do
    echo "$child"
    descendants "$child"
  done
}
stop() {
  # shellcheck disable=SC2046 # one word a process
  kill $(descendants $$) 2> /dev/null
  exit 0
}
trap stop TERM INT
while true; do
  python -m "fedbrain.deploy.$2" "$3" --kit="$kit" >> "$kit/process.log" 2>&1 &
  pid=$!
  wait $pid
  echo "$(date -Is) ended with $?, starts again" >> "$kit/process.log"
  sleep 1
done
