"""The rates of simulated participants against the ones they were made with."""

from pg2lib.apps.user_study import rates
from pg2lib.results.charts import chart
from pg2lib.results.notebook_charts import SECOND, draw_intervals
from pg2lib.results.provenance import INK, STYLE
from pg2lib.results.render import percent

KIND = "believable"  # of the right panel
PARTS = ("mean", "low", "high")
GROUPS = (1, 2, 3, 5, 10, 20, 30)  # participants counted up in the right panel


@STYLE
def check_chart(found, expected, answers):
    """Estimated and expected rates of every kind of participant, and the intervals of KIND by the
    number of participants. found: kind -> `rates.rates`; expected: kind -> (R2G, G2R); answers:
    DataFrame of the participants of KIND."""
    figure, (left, right) = chart(8.0, 2.7, 2, width_ratios=(3, 2))
    groups = {
        f"{name}, 95 % interval": [[found[k][name][p] for k in found] for p in PARTS]
        for name in rates.RATES
    }
    for place, heights in enumerate(draw_intervals(left, groups, list(found), "rate")):
        true, label = [expected[k][place] for k in found], "expected" if place else None
        left.plot(true, heights, "|", color=INK, markersize=9, label=label)
    left.set_xlim(-0.03, 1.03)
    left.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)

    people = answers.participant.unique()
    groups = [count for count in GROUPS if count <= len(people)]
    parts = [rates.rates(answers[answers.participant.isin(people[:k])])["G2R"] for k in groups]
    right.vlines(groups, [p["low"] for p in parts], [p["high"] for p in parts], color=SECOND)
    right.plot(groups, [p["mean"] for p in parts], "o", color=SECOND, markersize=4)
    right.axhline(expected[KIND][1], color=INK, linewidth=0.8)
    right.set_xscale("log", base=2)
    right.set_xticks(groups, groups)
    right.minorticks_off()
    right.set(ylim=(0, None), xlabel="participants", title=f"G2R of the {KIND} ones")
    listed = "; ".join(
        f"{k} {name} {percent(found[k][name])}, expected {percent(expected[k][place])}"
        for k in found
        for place, name in enumerate(rates.RATES)
    )
    figure.set_label(f"Rates of simulated participants with 95 % intervals: {listed}.")
    return figure
