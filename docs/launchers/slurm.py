# SLURM arrays, a wave after the other: python docs/launchers/slurm.py --profile paper --seeds 0-2
import subprocess, sys  # noqa: E401
from functools import partial
import submitit

slurm = submitit.AutoExecutor("slurm-logs")
if slurm.cluster != "slurm":
    sys.exit("there is no SLURM on this machine; use docs/launchers/xargs.sh")
slurm.update_parameters(cpus_per_task=8, mem_gb=32, timeout_min=240, slurm_array_parallelism=32)
for wave in "12345":
    matrix = ["pg2", "matrix", *sys.argv[1:], "--wave", wave]
    lines = subprocess.check_output(matrix, text=True).splitlines()
    slurm.update_parameters(gpus_per_node=int(wave > "1"))  # data need none
    jobs = slurm.map_array(partial(subprocess.check_call, shell=True), lines) if lines else []
    if jobs:  # the next wave waits in the queue, holding nothing, and goes if this one fails
        after = {"dependency": "afterok:" + jobs[0].job_id.split("_")[0]}
        after["kill_on_invalid_dep"] = "yes"
        slurm.update_parameters(slurm_additional_parameters=after)
