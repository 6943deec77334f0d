#!/bin/sh
#SBATCH --job-name=offset-autoencoder
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# A minute before the time limit, so that each run in training leaves a checkpoint.
#SBATCH --signal=B:TERM@60

# One task per share of the runs:  sbatch --array=0-15 examples/slurm/train.sh 16
set -eu
cd "$SLURM_SUBMIT_DIR"
exec .venv/bin/offset-autoencoder train --share "$SLURM_ARRAY_TASK_ID/$1"
