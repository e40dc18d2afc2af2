"""Training steps and generation, plain against fast, at the paper's width."""

from benchmarks.common import Line, Size, Worker, interleaved, median, row_config, rows_by_cost
from benchmarks.worker import PLAIN

CPU_SHARE, GPU_SHARE = 0.8, 0.35  # of the matrix product


def measure(size: Size, device: str, log) -> tuple[list[Line], dict]:
    groups = dict(list(rows_by_cost(size.profile).items())[-size.rows :])
    lines, seconds = [], {}
    for name in groups:
        log(f"training steps of {name}")
        found = observe(name, size, device)
        seconds[name] = median(found["rounds"]["fast"])
        wanted = CPU_SHARE if device == "cpu" else GPU_SHARE
        lines += [*step_lines(name, found, size, device, wanted), *generation_lines(name, found)]
    lines.append(whole_table(groups, seconds, size, device, found["precision"]))
    return lines, {"seconds_per_step": seconds, "profile": size.profile}


def observe(name, size, device, **changes) -> dict:
    """The numbers of one method: seconds and rates per round, operations, memory, generation;
    changes: of its configuration."""
    options = dict(row=name, profile=size.profile, device=device)
    batch = row_config(name, size.profile).batch
    slow = PLAIN | {"changes": changes | PLAIN["changes"]}
    changes |= {"precision": "auto"}  # the profile `paper` trains in float32
    with Worker(**options, changes=changes) as fast, Worker(**options, **slow) as plain:
        precision = fast.ask("precision")
        fast.ask("step"), fast.ask("step")
        calls = {
            "plain": lambda: plain.ask("step"),
            "fast": lambda: fast.ask("step"),
            "assembly": lambda: fast.ask("assembly"),
            "product": lambda: fast.ask("product", precision, size.product_side),
            "float32 product": lambda: fast.ask("product", "float32", size.product_side),
        }
        rounds = interleaved(calls, size.repeats)
        numbers = {what: fast.ask(what) for what in ("flops", "memory", "parameters")}
        calls = {n: lambda n=n: fast.ask("generation", n) for n in (batch, 1)}
        generation = interleaved(calls, size.repeats)
    return {"precision": precision, "rounds": rounds, "generation": generation, **numbers}


def step_lines(name, found, size, device, wanted) -> list[Line]:
    config, precision = row_config(name, size.profile), found["precision"]
    took = {what: median(values) for what, values in found["rounds"].items()}
    rate, gain = found["flops"] / took["fast"], took["plain"] / took["fast"]
    share, assembly = rate / took["product"], took["assembly"] / took["fast"]
    low = precision == "bfloat16"
    shape = f"{config.height}x{config.width}, batch {config.batch}"
    products = [f"{p} {took[k] / 1e9:,.0f}" for p, k in
                ((precision, "product"), ("float32", "float32 product"))]  # fmt: skip
    return [
        Line(
            f"{name} step, plain float32", took["plain"], "s",
            note=f"{shape}, {found['parameters'] / 1e6:,.1f} million parameters",
        ),
        Line(
            f"{name} step, {precision}", took["fast"], "s",
            note=f"{found['flops'] / 1e12:.2f} TFLOP a step, "
            f"peak memory {found['memory'] / 1e3:.1f} GB",
        ),
        Line(
            f"{name} step, speed-up", gain, "x",
            "at least 3" if low else "", gain >= 3 if low else None,
            "" if low else "float32 is the fastest safe precision of this machine",
        ),
        Line(
            f"{name} step, share of the {precision} matrix product", 100 * share, "%",
            f"at least {100 * wanted:.0f}" if low else "", share >= wanted if low else None,
            f"{rate / 1e9:,.0f} GFLOP/s; matrix product: {', '.join(products)}",
        ),
        Line(
            f"{name} step, share of batch, heatmaps and masks", 100 * assembly, "%",
            "at most 5", assembly <= 0.05, f"{1e3 * took['assembly']:.1f} ms",
        ),
    ]  # fmt: skip


def generation_lines(name, found) -> list[Line]:
    lines = []
    for count, values in found["generation"].items():
        seconds = median(values)
        what = "one image" if count == 1 else f"batch of {count}"
        note = f"{count / seconds:.1f} images/s, float32"
        lines.append(Line(f"{name} generates {what}", 1e3 * seconds, "ms", note=note))
    return lines


def whole_table(groups, seconds, size, device, precision) -> Line:
    """What training all rows of Market-1501 takes, from the measured steps in the fastest precision
    (profile paper trains in float32 unless told); shared stages once."""
    total = sum(
        row_config(name, size.profile).iterations * seconds[first]
        for first, group in groups.items()
        for name in group
    )
    on_gpu = device != "cpu"
    return Line(
        f"training all rows of Table 1, profile {size.profile}", total / 60, "min",
        "at most 30, with evaluation" if on_gpu else "", total <= 1_800 if on_gpu else None,
        f"in {precision}: iterations times seconds a step; rows of equal cost are measured once",
    )  # fmt: skip
