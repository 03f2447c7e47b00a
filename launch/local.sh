#!/usr/bin/env bash
# A server and three sites on one machine: an authority, certificates, processes over mutual TLS, a synthetic BIDS tree per
# site, brain age for a few rounds, a report.
# Usage: launch/local.sh FOLDER [ROUNDS [MORE FLAGS OF fedbrain.deploy.server]]
# Needs `pip install -e '.[deploy]'` in the environment whose bin/ is first on PATH.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
rounds=${2:-5}
shift $(($# < 2 ? $# : 2))
sites=(amber birch cedar)
cd "$(dirname "$0")/.."
export JAX_PLATFORMS=cpu PORT=${PORT:-18002}

[ -d "$folder/trees" ] || python -m fedbrain.synthesise --out="$folder/trees" --healthy=30 --seed=1
if [ ! -d "$folder/kits" ]; then
  cat > "$folder/consortium.yaml" <<YAML
name: local
server: {host: localhost, port: $PORT, organisation: Consortium}
lead: lead@example.org
sites: {amber: Hospital A, birch: Hospital B, cedar: Hospital C}
YAML
  python -m fedbrain.deploy.provision --consortium="$folder/consortium.yaml" --output="$folder"
  for site in "${sites[@]}"; do
    cat > "$folder/kits/$site/local/site.toml" <<TOML
name = "$site"
# synthetic people, few of them: every floor is lowered here in the open
approval = false
minimum_subjects = 5
minimum_validation_subjects = 2
minimum_test_subjects = 3
validation_digits = 0
[data]
root = "$folder/trees/$site"
[targets.age]
column = "age"
[at_least]
local_steps = 2
people_in_a_step = 1
[at_most]
"client.batch_size" = 8
TOML
  done
fi

launch/keep.sh "$folder/kits/server" server listen &
for site in "${sites[@]}"; do launch/keep.sh "$folder/kits/$site" site join & done
trap 'kill $(jobs -p) 2> /dev/null; wait 2> /dev/null || true' EXIT
for site in "${sites[@]}"; do
  for attempt in $(seq 30); do  # until the server listens
    python -m fedbrain.deploy.site check --kit="$folder/kits/$site" > "$folder/check_$site.txt" 2>&1 && break
    [ "$attempt" -lt 30 ] || { cat "$folder/check_$site.txt"; exit 1; }
    sleep 1
  done
  sed "s/^/$site: /" "$folder/check_$site.txt"
done
python -m fedbrain.deploy.server run --kit="$folder/kits/server" --lead="$folder/kits/lead@example.org" \
  --workdir="$folder/run" --config=configs/quickstart.py "--config.rounds=$rounds" "--config.regimes=('federated',)" "--config.describe=()" \
  "--config.driver=loop()" "--config.residence=streamed()" --target=age --sites=amber,birch,cedar --fewest=3 \
  --deadline_s=600 "$@"
for site in "${sites[@]}"; do
  echo "$site: $(python -m fedbrain.deploy.site status --kit="$folder/kits/$site")"
done
