"""Training steps and generation, plain against fast, at the paper's width."""

from dataclasses import replace

from benchmarks.common import (
    PLAIN,
    PLAIN_STAGE,
    Line,
    Size,
    Worker,
    interleaved,
    median,
    stage_for,
)
from pg2lib.models import experiments

STAGES = {
    "G1": ("G1-poseMaskLoss", "stage I"),
    "G1+D": ("G1+D", "one stage against D"),
    "G2+D": ("G2+D", "stage II"),
}


def measure(size: Size, device: str, say) -> tuple[list[Line], dict]:
    lines, seconds = [], {}
    for short, (name, about) in STAGES.items():
        say(f"training steps of {short}")
        stage = stage_for(name, size.profile)
        lines += stage_lines(short, about, stage, size, device, seconds)
    lines += whole_table(seconds, size, device)
    return lines, {"seconds_per_step": seconds, "profile": size.profile}


def stage_lines(short, about, stage, size, device, seconds):
    simple = replace(stage, **PLAIN_STAGE).as_dict()
    with (
        Worker(stage=stage.as_dict(), device=device) as fast,
        Worker(stage=simple, device=device, **PLAIN) as plain,
    ):
        precision = fast.ask("precision")
        fast.ask("step"), fast.ask("step")
        rounds = interleaved(
            {
                "plain": lambda: plain.ask("step"),
                "fast": lambda: fast.ask("step"),
                "assembly": lambda: fast.ask("assembly"),
                "product": lambda: fast.ask("product", precision, size.product_side),
                "float32 product": lambda: fast.ask("product", "float32", size.product_side),
            },
            size.repeats,
        )
        flops, memory = fast.ask("flops"), fast.ask("memory")
        calls = {n: lambda n=n: fast.ask("generation", n) for n in (stage.batch, 1)}
        generation = interleaved(calls, size.repeats)
    took = {name: median(values) for name, values in rounds.items()}
    seconds[short] = took["fast"]
    rate, product = flops / took["fast"], took["product"]
    low = precision == "bfloat16"
    wanted = 0.8 if device == "cpu" else 0.35
    say = f"{about}, {stage.height}x{stage.width}, width {stage.channels}, batch {stage.batch}"
    note = f"{flops / 1e12:.2f} TFLOP a step, peak memory {memory / 1e3:.1f} GB"
    products = f"{precision} {product / 1e9:,.0f}, float32 {took['float32 product'] / 1e9:,.0f}"
    result = [
        Line(f"{short} step, plain float32", took["plain"], "s", note=say),
        Line(f"{short} step, {precision}", took["fast"], "s", note=note),
        Line(
            f"{short} step, speed-up", took["plain"] / took["fast"], "x",
            "at least 3" if low else "", took["plain"] / took["fast"] >= 3 if low else None,
            "" if low else "no bfloat16 here: float32 is the fastest safe precision",
        ),
        Line(
            f"{short} step, share of the {precision} matrix product", 100 * rate / product, "%",
            f"at least {100 * wanted:.0f}" if low else "",
            rate / product >= wanted if low else None,
            f"{rate / 1e9:,.0f} GFLOP/s; matrix product: {products}",
        ),
        Line(
            f"{short} step, share of batch, heatmaps and masks",
            100 * took["assembly"] / took["fast"], "%", "at most 5",
            took["assembly"] <= 0.05 * took["fast"], f"{1e3 * took['assembly']:.1f} ms",
        ),
    ]  # fmt: skip
    for count, values in generation.items():
        one = median(values)
        what = "one image" if count == 1 else f"batch of {count}"
        note = f"{count / one:.1f} images/s, float32"
        result.append(Line(f"{stage.name} generates {what}", 1e3 * one, "ms", note=note))
    return result


def whole_table(seconds, size, device):
    """What training all rows of Market-1501 takes, from the measured steps; shared stages once."""
    total = 0.0
    for name in experiments.stage_names(experiments.ROWS):
        stage = stage_for(name, size.profile)
        short = "G2+D" if stage.network == "G2" else "G1+D" if stage.adversarial else "G1"
        total += stage.iterations * seconds[short]
    on_gpu = device != "cpu"
    return [
        Line(
            f"training all six rows, profile {size.profile}", total / 60, "min",
            "at most 30, with evaluation" if on_gpu else "", total <= 1_800 if on_gpu else None,
            "iterations times measured seconds a step; CE and HME taken as G1",
        )
    ]  # fmt: skip
