#!/usr/bin/env bash
# A BIDS dataset as an array job of Slurm: each task does every N-th participant.
#
#   sbatch Scripts/slurm-array.sh BIDS_DIR OUT_DIR MODEL [options of `restore bids`]
#
# When all tasks are done, the table of all participants:
#
#   restore bids BIDS_DIR OUT_DIR group -m MODEL
#
# An example: set array, time and memory for your data. A task whose time is over ends cleanly and is
# queued again; what is done is left out then. Participants who fail do not stop the others: the task ends
# with code 2, and the logs in OUT_DIR/logs say why.
#SBATCH --job-name=restore-bids
#SBATCH --array=0-99%10
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

if [[ $# -lt 3 ]]; then
  echo "usage: sbatch $0 BIDS_DIR OUT_DIR MODEL [options of restore bids]" >&2
  exit 64
fi
bids_dir=$1 out_dir=$2 model=$3
shift 3

# --signal=B: tells this shell alone, two minutes before the end.
told= child=
trap 'told=1; if [[ -n $child ]]; then kill -TERM "$child" 2>/dev/null || true; fi' TERM

# In the background, because bash acts on a signal only between commands, and `wait` is one that it ends.
restore bids "$bids_dir" "$out_dir" participant -m "$model" \
  --shard slurm --skip-existing --continue-on-error "$@" &
child=$!
status=0
wait "$child" || status=$?
if [[ -n $told ]]; then
  # The first wait was ended by the signal; the command stops cleanly, with 143.
  status=0
  wait "$child" || status=$?
  if [[ $status -eq 143 ]]; then scontrol requeue "$SLURM_JOB_ID"; fi
fi
exit "$status"
