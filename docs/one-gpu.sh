#!/usr/bin/env bash
# All rows of Table 1 at the paper's size on one GPU, in slices of a few minutes:
#
#   bash docs/one-gpu.sh market1501 <folder of the images>
#
# Each slice ends with checkpoints, a table of how far every training is, with scores of what it
# paints by then (runs/figures/market1501-paper/progress.md). Started again, it goes on where it was.
# The two rows that the paper is about come first. It needs no notebook package and no matplotlib:
# torch, numpy, pandas, scikit-image, Pillow, Jinja2, filelock, tqdm and safetensors are enough.
#
# MINUTES=9 per slice (a scoring that has begun is finished, a minute or two later); ONCE=1 ends
# after one slice, with status 3 while there is more to do; PROFILE=paper; PG2_DEVICE=cuda, so that
# a machine without a GPU is refused; PG2="python3 -m pg2lib" is the command.
dataset=${1:-market1501}
[ -z "${2:-}" ] || export PG2_DATA=$2
export PG2_DATASET=$dataset PG2_PROFILE=${PROFILE:-paper} PG2_DEVICE=${PG2_DEVICE:-cuda}

slices() {  # one command until it is done, or one slice of it
    while :; do
        left=${MINUTES:-9}
        if [ -n "${ONCE:-}" ]; then  # the commands share one slice
            left=$(awk "BEGIN { print $left - $SECONDS / 60 }")
            awk "BEGIN { exit $left < 0.1 }" || exit 3
        fi
        ${PG2:-python3 -m pg2lib} "$@" --minutes "$left"
        status=$?
        [ $status = 0 ] && return
        [ $status = 3 ] && [ -z "${ONCE:-}" ] || exit $status
    done
}

slices evaluate G1-poseMaskLoss condition target  # scored before the next one is trained
slices evaluate G1+G2+D
slices evaluate G1-L1 G1+D G1-CE-L1 G1-HME-L1
slices evaluate  # all rows are there: writes Table 1
