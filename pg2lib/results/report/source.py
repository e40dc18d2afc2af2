"""Where a figure or table is from, in a line below it."""

from html import escape

from pg2lib.results.report.studies import is_drawn, with_source


def source_html(facts) -> str:
    """The line below a figure or table: command, study, date and commit; folded, versions and
    keys."""
    known = {name: value for name, value in facts.items() if value is not None}
    study = [", ".join(
        ([known["dataset"]] if "dataset" in known else [])
        + [f"{key} {known[key]}" for key in ("profile", "seed") if key in known])]  # fmt: skip
    study += [known["made_by"]] if "made_by" in known else []
    if "written" in known:
        study.append(f"{known['written']}, commit {known.get('commit', 'unknown')}")
    drawn = "dataset" not in known or is_drawn(known["dataset"])
    command = with_source(known["command"], drawn)
    line = f"Made by <code>{escape(command)}</code>"
    line += "".join(f"; {escape(part)}" for part in study)
    more = [
        ("Versions", ", ".join(f"{k} {v}" for k, v in known.get("versions", {}).items() if v)),
        ("Keys of what it was made from", ", ".join(
            f"{k} {v}" for k, v in known.get("inputs", {}).items())),
        ("Split", known.get("split")),
    ]  # fmt: skip
    terms = "".join(f"<dt>{term}</dt><dd>{escape(str(text))}</dd>" for term, text in more if text)
    of = known.get("as_of")
    of = f" (date, commit and these of {of}.png, which the same notebook writes)" if of else ""
    folded = f"<details><summary>Versions and keys{escape(of)}</summary><dl>{terms}</dl></details>"
    return f'<div class="source"><p>{line}.</p>{folded if terms else ""}</div>'
