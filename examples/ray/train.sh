#!/bin/sh
#SBATCH --job-name=offset-autoencoder
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00

# A Ray cluster on the nodes of the job, which lasts as long as the command:  sbatch examples/ray/train.sh
set -eu
. .venv/bin/activate
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
RAY_ADDRESS=$(hostname):6379
export RAY_ADDRESS
srun ray symmetric-run --address "$RAY_ADDRESS" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" -- dvc repro
