#!/usr/bin/env bash
# Keeps one process of a kit running, as systemd does in a hospital (launch/hospital/): keep.sh KIT server listen | site join
set -uo pipefail
kit=$1
cd "$(dirname "$0")/.." || exit 1
trap 'kill "${pid:-}" 2> /dev/null; pkill -f -- "-m $kit " 2> /dev/null; exit 0' TERM INT
while true; do
  python -m "fedbrain.deploy.$2" "$3" --kit="$kit" >> "$kit/process.log" 2>&1 &
  pid=$!
  wait $pid
  echo "$(date -Is) ended with $?, starts again" >> "$kit/process.log"
  sleep 1
done
