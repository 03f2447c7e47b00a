#!/usr/bin/env bash
# A server and three sites on one machine: certificates, four processes over mutual TLS, synthetic BIDS trees, a few rounds.
# Usage: launch/local.sh FOLDER [ROUNDS]; needs `pip install -e '.[deploy]'` in the environment whose bin/ is first on PATH.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
rounds=${2:-5}
sites=(amber birch cedar)
cd "$(dirname "$0")/.."
export NVFLARE_POC_WORKSPACE=$folder/poc JAX_PLATFORMS=cpu
fields=(--config=configs/quickstart.py "--config.rounds=$rounds" "--config.regimes=('federated',)" "--config.driver=loop()"
        "--config.residence=streamed()")

[ -d "$folder/trees" ] || python -m fedbrain.synthesise --out="$folder/trees" --healthy=30 --seed=1
python -m fedbrain.deploy.submit "${fields[@]}" --target=age --sites=amber,birch,cedar --fewest=3 --deadline_s=600 \
  --output="$folder/job"
nvflare poc prepare -c "${sites[@]}" --force
allow() {  # the only class of ours that this kit may be asked to run
  python - "$1" "$2" <<'PYTHON'
import json, pathlib, sys
local = pathlib.Path(sys.argv[1], "local")
source = next(p for p in (local / "resources.json", local / "resources.json.default") if p.is_file())
told = json.loads(source.read_text())
told["allow_log_streaming"] = False  # logs name files: they stay
told.update({"class_list_enforcement_mode": "enforce", "class_allow_list": [f"fedbrain.deploy.nvflare.{sys.argv[2]}"]})
(local / "resources.json").write_text(json.dumps(told, indent=2))
PYTHON
}
allow "$(find "$folder/poc" -type d -path '*/server' | sort | tail -1)" Conductor
for site in "${sites[@]}"; do
  kit=$(find "$folder/poc" -type d -path "*/$site" | sort | tail -1)
  allow "$kit" Hospital
  cat > "$kit/local/site.toml" <<TOML
name = "$site"
minimum_subjects = 5
[data]
root = "$folder/trees/$site"
[targets.age]
column = "age"
[at_most]
"client.batch_size" = 8
TOML
done
trap 'nvflare poc stop > /dev/null 2>&1 || true' EXIT
nvflare poc start -ex admin@nvidia.com
nvflare job submit -j "$folder/job"
echo "Waiting for $rounds rounds ..."
for _ in $(seq 300); do
  result=$(find "$folder/poc" -path '*/server/fedbrain/*/results.json' | head -1)
  [ -n "$result" ] && break
  sleep 2
done
[ -n "${result:-}" ] || { echo "No result after 10 minutes; see the logs in $folder/poc"; exit 1; }
cat "$result"
