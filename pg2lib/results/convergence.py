"""How fast two trainings learn. curves is float (records, 2): their losses at the same steps."""

import pandas as pd


def running_mean(values, window=5):
    """Centred mean down each column, over fewer values at the ends: float (n, k) -> (n, k)."""
    return pd.DataFrame(values).rolling(window, center=True, min_periods=1).mean().to_numpy()


def paired(logs):
    """The L1 of two training logs, at the steps that both have.

    Args:
        logs: two lists of records with "step" and "l1" (`training.read_log`).

    Returns:
        (steps, curves): int (records,) and float (records, 2).
    """
    columns = [pd.DataFrame(log).set_index("step")["l1"] for log in logs]
    table = pd.concat(columns, axis=1, join="inner")
    return table.index.to_numpy(), table.to_numpy()


def l1_gap(curves):
    """Mean height of the first curve above the second."""
    return (curves[:, 0] - curves[:, 1]).mean()


def head_start(curves):
    """How much later the first curve reaches the common level than the second, in shares of the
    training: negative if it is ahead."""
    _, (first, second) = common_level(curves)
    return (first - second) / len(curves)


def common_level(curves):
    """(level, the record (2,) from which each curve counts as there).

    The level is one that both reach: 5 % above the higher of the two ends, an end being the mean of
    the last tenth. A curve is there when its running mean is.
    """
    smooth, tenth = running_mean(curves), max(len(curves) // 10, 1)
    level = 1.05 * curves[-tenth:].mean(0).max()
    there = smooth <= level
    there[-1] = True
    return level, there.argmax(0)
