#!/usr/bin/env bash
# One experiment on a Cloud TPU VM with one worker or several: the same command on all workers, together.
#
#   NAME=my-tpu ZONE=us-west4-a launch/tpu_vm.sh --config=configs/brain_age.py --workdir=/mnt/disk/run
#
# Needs gcloud, logged in; fedbrain installed with the extra `tpu` in FOLDER on every worker; and a disk that all share for the
# work directory. Repeat the command after a preemption: it goes on from the last checkpoint. See docs/clusters.md.
set -euo pipefail
name=${NAME:?expected NAME, of the TPU VM}
zone=${ZONE:?expected ZONE, of the TPU VM}
folder=${FOLDER:-fedbrain}
python=${PYTHON:-.venv/bin/python}
port=${PORT:-8476}

addresses=$(gcloud compute tpus tpu-vm describe "$name" --zone="$zone" --format='value(networkEndpoints[].ipAddress)')
IFS=';' read -r -a workers <<< "$addresses"
flags=$(printf ' %q' "$@")
# shellcheck disable=SC2016  # each worker asks for its own number
worker='$(curl -s -H Metadata-Flavor:Google http://metadata.google.internal/computeMetadata/v1/instance/attributes/agent-worker-number)'
together="--coordinator=${workers[0]}:$port --processes=${#workers[@]} --process=$worker"
gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all \
  --command="cd $folder && $python -m fedbrain.main$flags $together"
