#!/usr/bin/env bash
# SLURM on this machine alone, until the script is ended: for trying jobs where there is no cluster.
#
#   apt-get install munge slurmctld slurmd slurm-client       Debian, Ubuntu
#   launch/try_slurm.sh FOLDER                                keeps everything in FOLDER; then, in another terminal:
#   SLURM_CONF=FOLDER/slurm.conf sbatch --gpus-per-node=0 --cpus-per-task=1 launch/slurm.sbatch
#
# There is one node with four CPUs, whatever the machine has, and there are two partitions: a job in `urgent` preempts jobs in
# `main`, which have GRACE seconds between SIGTERM and SIGKILL. It listens on the ports PORT and PORT + 1 of the loopback.
set -euo pipefail
folder=${1:?expected a folder}
port=${PORT:-16817}
PATH=$PATH:/usr/sbin
mkdir -p "$folder"/{state,spool,run}
folder=$(cd "$folder" && pwd)
host=$(hostname -s)
user=$(id -un)

cat > "$folder/slurm.conf" <<END
ClusterName=loopback
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
# a job that is requeued starts again after cred_expire seconds
AuthInfo=socket=$folder/run/munge,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
KillWait=10
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=${GRACE:-60}
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
END
export SLURM_CONF=$folder/slurm.conf

stop() {
  timeout 10 scancel --me 2> "$folder/stop.log" || true
  kill "${daemons[@]}" 2>> "$folder/stop.log" || true
  wait
}
trap 'exit 0' INT TERM
trap stop EXIT
(umask 077 && head -c 1024 /dev/urandom > "$folder/run/key")
munged --foreground --force --key-file="$folder/run/key" --socket="$folder/run/munge" --pid-file="$folder/run/munged.pid" \
  --log-file="$folder/munged.log" --seed-file="$folder/run/seed" 2> "$folder/munged.err" &
daemons=($!)
until [ -S "$folder/run/munge" ]; do kill -0 "${daemons[0]}" && sleep 0.1; done
slurmctld -D 2> "$folder/slurmctld.err" &
daemons+=($!)
slurmd -D -N "$host" 2> "$folder/slurmd.err" &
daemons+=($!)
until [ "$(sinfo --noheader --partition=main --format=%t 2> "$folder/sinfo.err")" = idle ]; do
  kill -0 "${daemons[@]}" && sleep 0.2
done
echo "SLURM_CONF=$SLURM_CONF"
wait
