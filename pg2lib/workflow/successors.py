"""The work of `make successors`: the rows of later papers and of PG2 beside them; their table, the
papers' claims, Figure 4 and the notebooks about them."""

from dataclasses import asdict, replace

from pg2lib import models
from pg2lib.core import config as configs
from pg2lib.core.files import UserError
from pg2lib.evaluation import presets
from pg2lib.results import claims as claim_list
from pg2lib.results import figures, provenance, render, sheets, tables, terminal, verdicts
from pg2lib.training import describe
from pg2lib.workflow import evidence, lanes, maps, notebooks, pipeline
from pg2lib.workflow import plan as plans
from pg2lib.workflow import run_store as runs

PAIRS = 5  # test pairs in Figure 4
TITLE = "The claims of papers after PG2, tested on {dataset}"


def all_rows(papers=None, ablations=None) -> tuple[str, ...]:
    """The rows of the table: the condition image, those of the papers, ablations asked for by name,
    the real target."""
    first, last = pipeline.REFERENCE_ROWS
    return (first, *models.successors(papers), *(ablations or ()), last)


def wanted(study, papers=None, ablations=None) -> dict:
    """Study -> rows to score: those of the table and, with ablations, for the study that provides
    them (`plan.ablation_study`) those compared by the papers' claims."""
    found, compared = {study: all_rows(papers, ablations)}, ablation_rows(papers, ablations)
    if not compared:
        return found
    other = plans.ablation_study(study)
    rows = (*found.get(other, pipeline.REFERENCE_ROWS), *compared)
    return found | {other: tuple(dict.fromkeys(rows))}


def ablation_rows(papers=None, ablations=None) -> tuple[str, ...]:
    """The rows compared by the papers' claims about these ablations, about all if None, and the
    reference rows that show whether poses can be judged; () if there are none."""
    claims = claim_list.later(papers)
    if ablations is not None:
        claims = [claim for claim in claims if {*ablations} & {*claim_list.compared(claim)}]
    rows = claim_list.rows_of(True, among=claims)
    return tuple(dict.fromkeys((*pipeline.REFERENCE_ROWS, *rows))) if rows else ()


def books(study, papers=None, ablations=None):
    """The notebooks about only these later papers, if the study has what they need, and all
    ablations that they show are among those asked for."""
    known, rows = {*(papers or models.later_papers())}, {*ablation_rows(papers, ablations)}
    return [
        book for book in notebooks.notebooks()
        if book.papers and known >= {*book.papers} and rows >= {*ablation_rows(book.papers)}
        and (study.setting.drawn or not book.drawn)
    ]  # fmt: skip


def plan(study, papers=None, ablations=None) -> list[tuple[runs.Step, runs.State]]:
    """Every step and its state; runs nothing."""
    parts = wanted(study, papers, ablations).items()
    steps = [step for each in parts for step in plans.scoring(*each)]
    entries = [(step, runs.state(step)) for step in steps]
    return entries + [
        (notebooks.notebook_step(study, book), notebooks.notebook_state(study, book))
        for book in books(study, papers, ablations)
    ]


def make(study, papers=None, log=print, ablations=None):
    """Do all missing work, in order, and log where the results are; papers: only these; ablations:
    only these. Claims about others are not measured, and notebooks that need them not run."""
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
    for notebook in books(study, papers, ablations):
        written.append(notebooks.run_notebook(study, notebook, log))
    if ablations == ():
        log("without ablations, the claims about them are not measured and no notebook is run")
    elif ablations:
        log("claims about other ablations are not measured; notebooks that need them are not run")
    elif not study.setting.drawn:
        log("notebooks about the exact parsing maps of drawn people are left out")
    log("wrote " + ", ".join(map(str, written)))


def table(study, papers=None, ablations=None) -> dict:
    """`tables.successors` for the rows of later papers and the rows shown beside them."""
    rows = all_rows(papers, ablations)
    trained = pipeline.trained(rows)
    images = {
        row: [pipeline.generated(one, row) for one in pipeline.each(study, row)] for row in trained
    }
    data, variant = pipeline.data(study), pipeline.MASK_VARIANT
    by_preset = presets.score_presets(images, data, variant, study.seed)
    cost = {row: describe.costs(study, row) for row in trained}
    changes = {}
    for row in models.successors(papers):
        if row not in models.rows() and not models.find(row).budget:
            changes |= not_full_size(study, row)
    facts = pipeline.table_facts(study) | {
        "command": command(study, papers, ablations),
        "parsing": maps.source(study.data_name, study.parsing),
        "first_stage_pairs": describe.first_stage_pairs(study, trained),
    }
    scores = pipeline.summaries(study, rows), pipeline.pairs(study, rows)
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


def claims(study, papers=None, ablations=None) -> dict:
    """The claims of later papers (`claims.later`) as `verdicts.claims_table`."""
    rows = claim_list.rows_of(among=claim_list.later(papers))
    rows, compared = (*pipeline.REFERENCE_ROWS, *rows), ablation_rows(papers, ablations)
    other = plans.ablation_study(study) if compared else study
    if other == study:
        rows = tuple(dict.fromkeys((*rows, *compared)))
    main = replace(evidence.measured(study, rows), parameters=parameters(study))
    small = main if other == study else evidence.measured(other, compared)
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


def command(study, papers=None, ablations=None) -> str:
    names = [*(models.rows(paper)[0] for paper in papers or ()), *(ablations or ())]
    only = f" METHODS='{' '.join(names)}'" if names else ""
    only += " ABLATIONS=no" if ablations == () else ""
    return study.command.replace("make reproduce", "make successors") + only


def papers_of(names) -> tuple[str, ...] | None:
    """The papers of rows and ablations, in the order of the tables; None for no names. Raises
    UserError for a name that is not of a later paper."""
    papers = models.later_papers()
    known = [row for paper in papers for row in (*models.rows(paper), *models.ablations(paper))]
    asked = {models.find(configs.require_in("method", name, known)).paper for name in names}
    return tuple(paper for paper in papers if paper in asked) or None


def ablations_of(names, wanted=True) -> tuple[str, ...] | None:
    """The ablations among names, the only ones to train; None, for all, if there are none there;
    () if none are wanted. Raises UserError if they are named and not wanted."""
    named = tuple(name for name in names if models.find(name).against)
    if named and not wanted:
        raise UserError(f"--no-ablations leaves out {', '.join(named)}; drop the option or them")
    return named or (None if wanted else ())
