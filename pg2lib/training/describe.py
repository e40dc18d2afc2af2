"""What a row costs before it is run: parameters, GFLOPs and training schedule."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from pg2lib.models import experiments
from pg2lib.models.networks import JOINT_COUNT, parameter_count
from pg2lib.training.loop import build_discriminator, build_generator


def describe_stage(stage: experiments.Stage) -> dict:
    """Parameters of the generator and D, forward GFLOPs of one image (2 per multiply-add), and
    the schedule. Nothing is allocated: the networks are built on the meta device."""
    with torch.device("meta"):
        generator = build_generator(stage)
        discriminator = build_discriminator(stage) if stage.adversarial else None
        image = torch.empty(1, 3, stage.height, stage.width)
        pose = torch.empty(1, JOINT_COUNT, stage.height, stage.width)
        keypoints = torch.empty(1, JOINT_COUNT, 2)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        if stage.network == "G1":
            generator(image, pose, keypoints)
        else:
            generator(image, image)
    return {
        "stage": stage.name,
        "network": stage.network,
        "pose": stage.pose,
        "size": f"{stage.height}x{stage.width}",
        "parameters": parameter_count(generator),
        "gflops": round(counter.get_total_flops() / 1e9, 2),
        "d_parameters": parameter_count(discriminator) if discriminator is not None else 0,
        "iterations": stage.iterations,
        "batch": stage.batch,
        "learning_rate": stage.learning_rate,
        "schedule": stage.schedule,
        "mask_weight": stage.mask_weight,
        "l1_weight": stage.l1_weight,
    }


def describe(dataset: str, profile: str) -> list[dict]:
    """One entry per row of Table 1: its name, its stages as `describe_stage` tells them, and the
    parameters and GFLOPs of the whole row as it generates."""
    entries = []
    for row in experiments.ROWS.values():
        stages = [describe_stage(s) for s in experiments.stages(row.name, dataset, profile)]
        entries.append(
            {
                "row": row.name,
                "parameters": sum(s["parameters"] for s in stages),
                "gflops": round(sum(s["gflops"] for s in stages), 2),
                "stages": stages,
            }
        )
    return entries


def description_text(entries: list[dict], dataset: str, profile: str) -> str:
    """The entries as a table for a terminal."""
    head = ("row", "stage", "network", "parameters", "GFLOPs", "D params", "steps", "batch", "lr")
    lines = [head]
    for entry in entries:
        for position, s in enumerate(entry["stages"]):
            lines.append(
                (
                    entry["row"] if position == 0 else "",
                    s["stage"],
                    f"{s['network']} {s['pose']}" if s["network"] == "G1" else s["network"],
                    f"{s['parameters']:,}",
                    f"{s['gflops']:.2f}",
                    f"{s['d_parameters']:,}" if s["d_parameters"] else "-",
                    f"{s['iterations']:,}",
                    str(s["batch"]),
                    f"{s['learning_rate']:g} {s['schedule']}",
                )
            )
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    aligned = [
        "  ".join(
            cell.rjust(width) if 3 <= k <= 7 else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    ]
    size = entries[0]["stages"][0]["size"]
    return "\n".join([f"{dataset}, profile {profile}, images {size} (HxW)", "", *aligned])
