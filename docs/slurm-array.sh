#!/usr/bin/env bash
# One job per row and seed of Table 1 on a SLURM cluster, all into one run store:
#
#   sbatch docs/slurm-array.sh                            # paper profile, Market-1501, 3 seeds
#   sbatch --export=ALL,PROFILE=lite docs/slurm-array.sh
#
# Submit from the checkout, after `make reproduce` or `pip install -e .` has made .venv, with
# PG2_DATA naming the images. A job that is preempted or runs out of time resumes when it is
# submitted again. Rows share data and stages: the first job holds the folder's lock and the others
# wait, so the file system must support flock (NFS 4, and Lustre with -o flock). When all are done,
# `pg2 reproduce` with the same options finds every step cached.
#
#SBATCH --job-name=pg2
#SBATCH --array=0-17
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --output=pg2-%A-%a.log
set -euo pipefail

# G1+G2+D comes last: its first stage is G1-poseMaskLoss, which has its own job before it.
rows=(G1-poseMaskLoss G1-L1 G1-CE-L1 G1-HME-L1 G1+D G1+G2+D)
row=${rows[$((SLURM_ARRAY_TASK_ID % ${#rows[@]}))]}
seed=$((SLURM_ARRAY_TASK_ID / ${#rows[@]}))

python=${PYTHON:-.venv/bin/python}
options=(--dataset "${DATASET:-market1501}" --profile "${PROFILE:-paper}" --seeds "$seed")

# Several GPUs share each batch when the job has them: sbatch --gpus-per-node=4 ...
gpus=${SLURM_GPUS_ON_NODE:-1}
launcher=("$python")
if [ "$gpus" -gt 1 ]; then
    launcher=("$python" -m torch.distributed.run --standalone --nproc-per-node "$gpus")
fi

"${launcher[@]}" -m pg2lib train "$row" "${options[@]}"
"${launcher[@]}" -m pg2lib evaluate "$row" "${options[@]}"
