#!/usr/bin/env bash
# Runs an experiment through SLURM and checks that its table is that of a local run, byte for byte.
#
#   bash tests/slurm/run.sh [--lose-a-job] [EXPERIMENT.toml]
#
# With --lose-a-job SLURM takes the first worker's job away in the middle; the table must be the same all the same.
# Needs root on Debian or Ubuntu (it installs slurm-wlm and munge where they are missing) and `brainalign[slurm]`. It
# brings up a cluster of one node on loopback, with a key, sockets and ports of its own, and takes it down again.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
lose=false n_jobs=2
if [[ ${1:-} == --lose-a-job ]]; then
  lose=true n_jobs=1 # the only one, so that nothing goes on unless another job is started
  shift
fi
experiment=$(realpath "${1:-$root/analyses/smoke.toml}")
host=$(hostname -s)
n_cores=$(nproc --all)
memory=$(awk '/^MemAvailable/ {print int($2 / 1024)}' /proc/meminfo)
work=$(mktemp -d /tmp/brainalign-slurm.XXXXXX)
daemons=()
export SLURM_CONF=$work/slurm.conf
export OMP_NUM_THREADS=1 # the same on both sides: bytes are promised for one thread count
# What a cluster's user writes in ~/.config/dask/jobqueue.yaml; see docs/slurm.md.
export DASK_JOBQUEUE__SLURM__QUEUE=main DASK_JOBQUEUE__SLURM__MEMORY=2GB DASK_JOBQUEUE__SLURM__WALLTIME=00:20:00
export DASK_JOBQUEUE__SLURM__INTERFACE=lo

show() { # a command as at the prompt, then what it says; none takes a quarter of an hour
  echo "\$ $*"
  timeout --foreground 900 "$@"
}

fail() {
  echo "$1" >&2
  tail -n 20 "$work"/log/* >&2 || true
  exit 1
}

wait_for() { # seconds, then a command that succeeds in the end
  local seconds=$1
  shift
  for ((i = 0; i < seconds * 4; i++)); do
    "$@" >"$work/log/waiting" 2>&1 && return
    sleep 0.25
  done
  fail "no success in $seconds s: $*"
}

jobs_gone() { [[ -z $(squeue --noheader) ]]; }
node_idle() { sinfo --noheader --format %T | grep -qx idle; }

some_cell_done() { compgen -G 'through_slurm/cells/*/*.json'; }
worker_jobs() { squeue --noheader --name dask-worker --states RUNNING --format %i; }

lose_a_job() {
  wait_for 120 some_cell_done
  show scancel "$(worker_jobs | head -n 1)"
}

end() { # a daemon that this script started
  kill "$1" 2>/dev/null || true
  for ((i = 0; i < 40; i++)); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.25
  done
  kill -9 "$1" 2>/dev/null || true
}

take_down() {
  local status=$?
  trap - EXIT INT TERM
  if node_idle 2>/dev/null || squeue >/dev/null 2>&1; then
    squeue --noheader --format %i | xargs --no-run-if-empty scancel || true
    (wait_for 20 jobs_gone) || true
  fi
  for ((k = ${#daemons[@]} - 1; k >= 0; k--)); do end "${daemons[k]}"; done
  wait 2>/dev/null || true
  if pgrep --list-full --full "$work"; then
    echo "these processes are left" >&2
    status=1
  fi
  if ((status)); then echo "failed; logs: $work" >&2; else rm -rf "$work"; fi
  exit "$status"
}
trap take_down EXIT
trap 'exit 130' INT TERM

install_packages() {
  command -v slurmctld slurmd munged sbatch >/dev/null && return
  local packages=(slurm-wlm munge)
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -qq --yes --no-install-recommends "${packages[@]}" >"$work/log/apt" 2>&1 ||
    { apt-get update -qq && apt-get install -qq --yes --no-install-recommends "${packages[@]}"; } >"$work/log/apt" 2>&1
}

write_settings() {
  cat >"$SLURM_CONF" <<SETTINGS
ClusterName=loopback
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobCompType=jobcomp/filetxt
JobCompLoc=$work/jobs.txt
NodeName=$host NodeAddr=127.0.0.1 CPUs=$n_cores RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=60 State=UP
SETTINGS
}

bring_up() { # each daemon in a session of its own, so that Ctrl-C leaves them to `take_down`
  install -d -o munge -g munge -m 0711 "$work/munge"
  (umask 077 && head -c 1024 /dev/urandom >"$work/munge/key" && chown munge:munge "$work/munge/key")
  setsid setpriv --reuid munge --regid munge --clear-groups munged --foreground --socket="$work/munge/socket" \
    --key-file="$work/munge/key" --pid-file="$work/munge/pid" --log-file="$work/munge/log" \
    --seed-file="$work/munge/seed" >"$work/log/munged" 2>&1 &
  daemons+=($!)
  wait_for 10 munge --socket="$work/munge/socket" --no-input
  setsid slurmctld -D >"$work/log/slurmctld" 2>&1 &
  daemons+=($!)
  setsid slurmd -D >"$work/log/slurmd" 2>&1 &
  daemons+=($!)
  wait_for 30 node_idle
}

mkdir -p "$work"/{log,state,spool,run}
chmod 0711 "$work"
[[ $EUID == 0 ]] || fail "This script brings up SLURM's daemons: run it as root."
! (exec 3<>/dev/tcp/127.0.0.1/26817) 2>/dev/null || fail "Port 26817 is taken: is this script running already?"
command -v brainalign >/dev/null || fail "brainalign is not installed here: pip install -e '.[slurm]'."
install_packages
write_settings
bring_up
cd "$work/run"
ln -s "$experiment" .
experiment=$(basename "$experiment")
show slurmctld -V
show sinfo
show srun hostname
if "$lose"; then lose_a_job & fi
show brainalign run "$experiment" --out through_slurm --slurm --workers "$n_jobs"
wait_for 30 jobs_gone
echo '$ cat jobs.txt'
cut --delimiter ' ' --fields 1,4,5 "$work/jobs.txt"
n_seen=$(grep -c 'Name=dask-worker' "$work/jobs.txt" || true)
((n_seen >= 2)) || fail "$n_seen jobs of workers went through SLURM; expected two"
show brainalign run "$experiment" --out local --workers 2
show cmp through_slurm/scores.csv local/scores.csv
echo "scores.csv through SLURM and local are the same, byte for byte: $(wc -l <local/scores.csv) lines"
