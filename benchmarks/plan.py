"""What full DeepFashion costs: six rows, three seeds, 256x256, on 1, 8 and 64 GPUs.

An estimate on paper from results.json: the GPU's measured step where there is one, else the
operations of a step over the rate that the target of the benchmark asks for.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from pg2lib.models import experiments
from pg2lib.training import loop as training

SEEDS = 3
H200_PEAK = 790e12  # bfloat16 operations a second of a large product on an H200; an assumption
WANTED_SHARE = 0.35  # of it: the benchmark's target for a step
PARALLEL = 0.9  # of the ideal speed that each GPU keeps when eight share a batch


def training_flops(stage) -> float:
    """Operations of one step: forward, and twice that backward; D as often as it is passed."""
    with torch.device("meta"):
        generator = training.build_generator(stage)
        image = torch.empty(stage.batch, 3, stage.height, stage.width)
        pose = torch.empty(stage.batch, 18, stage.height, stage.width)
        keypoints = torch.empty(stage.batch, 18, 2)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            if stage.network == "G1":
                generator(image, pose, keypoints)
            else:
                generator(image, image)
        total = 3 * counter.get_total_flops()
        if stage.network == "G2":  # the frozen G1 paints first
            first = experiments.stage(stage.coarse, "deepfashion", "paper")
            total += training_flops(first) / 3
        if stage.adversarial:
            discriminator = training.build_discriminator(stage)
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                discriminator(torch.empty(2 * stage.batch, 6, stage.height, stage.width))
            total += (2 + 3) * counter.get_total_flops()  # for G: to the image; for D: to weights
    return total


def plan(speed: float) -> list[dict]:
    """A row per stage: operations, steps, GPU hours of one seed at so many operations a second."""
    rows = []
    for name in experiments.stage_names(experiments.ROWS):
        stage = experiments.stage(name, "deepfashion", "paper")
        flops = training_flops(stage)
        hours = flops * stage.iterations / speed / 3600
        rows.append(
            {
                "stage": name,
                "batch": stage.batch,
                "iterations": stage.iterations,
                "tflop_per_step": flops / 1e12,
                "gpu_hours": hours,
            }
        )
    return rows


def makespan(hours: dict, gpus: int) -> float:
    """Hours until all is done with so many GPUs: stages are handed out longest first, G2+D after
    its its G1; with at least twice as many GPUs as stages, equal groups share a batch."""
    group = 1
    while 2 * group * SEEDS * len(hours) <= gpus:  # powers of two divide a batch of 8
        group *= 2
    speed = 1 if group == 1 else group * PARALLEL
    lanes = [0.0] * (gpus // group)
    first_done = {}
    order = sorted(hours, key=lambda name: (name == "G2+D", -hours[name]))
    for name in order:
        for seed in range(SEEDS):
            lane = min(range(len(lanes)), key=lanes.__getitem__)
            begin = max(lanes[lane], first_done.get(seed, 0.0) if name == "G2+D" else 0.0)
            lanes[lane] = begin + hours[name] / speed
            if name == "G1-poseMaskLoss":
                first_done[seed] = lanes[lane]
    return max(lanes)


def rate(results: dict) -> tuple[float, str]:
    """Operations per second to plan with, and where the number is from."""
    entry = results.get("cuda", {}).get("sections", {}).get("training and generation")
    if entry:
        stage = experiments.stage(
            "G1-poseMaskLoss", "synthetic-market", entry["details"]["profile"]
        )
        seconds = entry["details"]["seconds_per_step"]["G1"]
        return training_flops(stage) / seconds, "the measured step of G1 on this GPU"
    share = f"{100 * WANTED_SHARE:.0f} % of {H200_PEAK / 1e12:.0f} TFLOP/s"
    return H200_PEAK * WANTED_SHARE, f"an assumption, no GPU was measured: {share}, an H200's rate"


def text(results: dict) -> str:
    """The plan as Markdown."""
    speed, source = rate(results)
    rows = plan(speed)
    lines = [
        f"Six rows, {SEEDS} seeds, 256x256, the paper's iterations. GPU hours at "
        f"{speed / 1e12:,.0f} TFLOP/s: {source}.",
        "",
        "| stage | batch | iterations | TFLOP a step | GPU hours, one seed |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['stage']} | {row['batch']} | {row['iterations']:,} "
            f"| {row['tflop_per_step']:.1f} | {row['gpu_hours']:.2f} |"
        )
    hours = {row["stage"]: row["gpu_hours"] for row in rows}
    total = SEEDS * sum(hours.values())
    lines += ["", "| GPUs | hours until all is done | GPU hours |", "|---|---|---|"]
    for gpus in (1, 8, 64):
        span = makespan(hours, gpus)
        lines.append(f"| {gpus} | {span:.1f} | {span * gpus:.0f} |")
    lines += [
        "",
        f"The work itself is {total:.0f} GPU hours. Stages are independent jobs but for G2+D, "
        "which waits for its G1; more GPUs than stages share a batch in equal groups, at "
        f"{100 * PARALLEL:.0f} % of the ideal speed (an assumption).",
    ]
    return "\n".join(lines)
