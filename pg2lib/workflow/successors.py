"""The work of `make successors`: the rows of later papers and of PG2 beside them; their table, the
papers' claims, Figure 4 and the notebooks about them."""

from dataclasses import asdict, replace

from pg2lib import models
from pg2lib.core import config as configs
from pg2lib.evaluation import presets
from pg2lib.results import claims as claim_list
from pg2lib.results import figures, provenance, render, sheets, tables, terminal, verdicts
from pg2lib.training import describe
from pg2lib.workflow import evidence, lanes, maps, notebooks, pipeline
from pg2lib.workflow import plan as plans
from pg2lib.workflow import run_store as runs

PAIRS = 5  # test pairs in Figure 4
TITLE = "The claims of papers after PG2, tested on {dataset}"


def all_rows(papers=None) -> tuple[str, ...]:
    """The rows of the table: the condition image, those of the papers, the real target."""
    return (pipeline.REFERENCE_ROWS[0], *models.successors(papers), pipeline.REFERENCE_ROWS[1])


def wanted(study, papers=None, ablations=True) -> dict:
    """Study -> rows to score: those of the table and, with ablations, for the study that provides
    them (`plan.ablation_study`) those compared by the papers' claims."""
    found = {study: all_rows(papers)}
    if not ablations:
        return found
    other = plans.ablation_study(study)
    rows = (*found.get(other, pipeline.REFERENCE_ROWS), *claim_rows(True, papers))
    return found | {other: tuple(dict.fromkeys(rows))}


def claim_rows(ablations: bool, papers=None) -> tuple[str, ...]:
    """The rows compared by the papers' claims (see `claims.rows_of`), and the reference rows that
    show whether poses can be judged."""
    rows = claim_list.rows_of(ablations, among=claim_list.later(papers))
    return tuple(dict.fromkeys((*pipeline.REFERENCE_ROWS, *rows)))


def books(study, papers=None):
    """The notebooks about only these later papers, if the study has what they need."""
    known = {*(papers or models.later_papers())}
    found = [book for book in notebooks.notebooks() if book.papers and known >= {*book.papers}]
    return [book for book in found if study.setting.drawn or not book.drawn]


def plan(study, papers=None, ablations=True) -> list[tuple[runs.Step, runs.State]]:
    """Every step and its state; runs nothing."""
    parts = wanted(study, papers, ablations).items()
    steps = [step for each in parts for step in plans.scoring(*each)]
    entries = [(step, runs.state(step)) for step in steps]
    return entries + [
        (notebooks.notebook_step(study, book), notebooks.notebook_state(study, book))
        for book in (books(study, papers) if ablations else ())
    ]


def make(study, papers=None, log=print, ablations=True):
    """Do all missing work, in order, and log where the results are; papers: only these. Without
    ablations, the claims about them are not measured and the notebooks, which need them, not
    run."""
    for part, rows in wanted(study, papers, ablations).items():
        pipeline.data(part, log)
        lanes.score_all(part, rows, log)
    folder, found = pipeline.figures_folder(study), table(study, papers, ablations)
    log(f"\n{terminal.text(found, terminal.columns())}\n")
    log("\n".join(render.view(found).notes) + "\n")  # how the rows differ from their papers'
    results = claims(study, papers, ablations)
    log(results["notes"][0])
    written = render.write(folder, "table_successors", found)
    written += render.write(folder, "successors_claims", results)
    written.append(figure4(study, folder / "figure4_successors.png", papers))
    for notebook in books(study, papers) if ablations else ():
        written.append(notebooks.run_notebook(study, notebook, log))
    if not ablations:
        log("without ablations, the claims about them are not measured and no notebook is run")
    elif not study.setting.drawn:
        log("notebooks about the exact parsing maps of drawn people are left out")
    log("wrote " + ", ".join(map(str, written)))


def table(study, papers=None, ablations=True) -> dict:
    """`tables.successors` for the rows of later papers and the rows shown beside them."""
    trained = models.successors(papers)
    images = {
        row: [pipeline.generated(one, row) for one in pipeline.each(study, row)] for row in trained
    }
    data, variant = pipeline.data(study), pipeline.MASK_VARIANT
    by_preset = presets.score_presets(images, data, variant, study.seed)
    cost = {row: describe.costs(study, row) for row in trained}
    changes = {}
    for row in trained:
        if row not in models.rows() and not models.find(row).budget:
            changes |= not_full_size(study, row)
    facts = pipeline.table_facts(study) | {
        "command": command(study, papers, ablations),
        "parsing": maps.source(study.data_name, study.parsing),
        "first_stage_pairs": describe.first_stage_pairs(study, trained),
    }
    scores = pipeline.summaries(study, all_rows(papers)), pipeline.pairs(study, all_rows(papers))
    return tables.successors(*scores, by_preset, cost, changes, facts)


def not_full_size(study, row) -> dict:
    """Training -> {field: [value, that of profile paper]} where they differ, for the trainings that
    make up a row."""
    full, found = replace(study, profile="paper", overrides=()), {}
    for method in models.chain(row):
        own, other = (asdict(describe.method_config(s, method)) for s in (study, full))
        found[method.name] = {
            key: [own[key], other[key]]
            for key in own if key != "threads" and own[key] != other[key]
        }  # fmt: skip
    return found


def claims(study, papers=None, ablations=True) -> dict:
    """The claims of later papers (`claims.later`) as `verdicts.claims_table`."""
    rows = claim_rows(False, papers)
    other = plans.ablation_study(study) if ablations else study
    if ablations and other == study:
        rows = tuple(dict.fromkeys((*rows, *claim_rows(True, papers))))
    main = replace(evidence.measured(study, rows), parameters=parameters(study))
    small = main if other == study else evidence.measured(other, claim_rows(True, papers))
    results = verdicts.evaluate_claims(main, small, claims=claim_list.later(papers))
    facts = pipeline.facts(study, "pg2 successors", rows, "successors")
    facts |= {"drawn": study.setting.drawn, "command": command(study, papers, ablations)}
    lines = verdicts.health_lines(main, small)
    return verdicts.claims_table(results, facts, lines, TITLE, "later_claims")


def parameters(study) -> dict:
    """Row -> parameters of the generating networks, at the size of profile `paper`, for rows with
    claims about them."""
    full = configs.Study(study.dataset, "paper")
    rows = claim_list.rows_of(how="size", among=claim_list.LATER)
    entries = describe.describe(full, rows)
    return {entry["row"]: entry["parameters"] for entry in entries}


def figure4(study, path, papers=None):
    """Write Figure 4 for the rows of the table: the first seed's images of the test pairs in Figure
    4 of Table 1. Returns the path of the PNG."""
    data, rows = pipeline.data(study), models.successors(papers)
    chosen = figures.select_examples(data, PAIRS, study.seed)
    generated = {row: pipeline.generated(study, row) for row in rows}
    sheet = sheets.rows_sheet(data, chosen, generated)
    facts = pipeline.facts(study, "pg2 successors", rows, "successors")
    return provenance.save(sheet, path, facts)


def command(study, papers=None, ablations=True) -> str:
    only = f" METHODS='{' '.join(models.rows(paper)[0] for paper in papers)}'" if papers else ""
    only += "" if ablations else " ABLATIONS=no"
    return study.command.replace("make reproduce", "make successors") + only


def papers_of(names) -> tuple[str, ...] | None:
    """The papers of rows, in the order of the tables; None for no rows. Raises UserError for a row
    that is not of a later paper."""
    known = [row for paper in models.later_papers() for row in models.rows(paper)]
    asked = {models.find(configs.require_in("method", name, known)).paper for name in names}
    return tuple(paper for paper in models.later_papers() if paper in asked) or None
