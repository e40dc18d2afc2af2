# SLURM arrays, a wave after the other: python docs/launchers/slurm.py --profile paper --seeds 0-2
import subprocess, sys  # noqa: E401
from functools import partial
import submitit

slurm = submitit.AutoExecutor("slurm-logs")  # on a machine without SLURM: processes of this one
slurm.update_parameters(cpus_per_task=8, mem_gb=32, timeout_min=240, slurm_array_parallelism=32)
for wave in "12345":
    matrix = ["pg2", "matrix", *sys.argv[1:], "--wave", wave]
    lines = subprocess.check_output(matrix, text=True).splitlines()
    slurm.update_parameters(gpus_per_node=int(wave > "1"))  # data need none
    jobs = slurm.map_array(partial(subprocess.check_call, shell=True), lines) if lines else []
    if slurm.cluster == "slurm" and jobs:  # the next wave waits in the queue, holding nothing
        after = {"dependency": "afterok:" + jobs[0].job_id.split("_")[0]}
        slurm.update_parameters(slurm_additional_parameters=after)
    else:
        [job.result() for job in jobs]
