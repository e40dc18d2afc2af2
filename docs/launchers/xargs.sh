#!/usr/bin/env bash
# JOBS commands at a time on one machine: bash docs/launchers/xargs.sh --profile lite --seeds 0-4
set -eo pipefail
for wave in 1 2 3 4 5; do
    pg2 matrix "$@" --wave $wave | tr '\n' '\0' | xargs -0 -P "${JOBS:-2}" -I {} sh -c {}
done
