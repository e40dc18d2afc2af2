"""The site: what the studio's page shows of a pose, and pages that load nothing from outside."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from pg2lib import cli
from pg2lib.apps.pose_studio import background, studio
from pg2lib.apps.site import site, studio_page
from pg2lib.core.config import Study
from pg2lib.core.files import UserError
from pg2lib.data.heatmaps import heatmaps, pose_mask
from pg2lib.results import figures, own_files
from pg2lib.results.report import write_report
from pg2lib.workflow.run_store import project

NOTEBOOKS = sorted((project() / "notebooks").glob("*.ipynb"))
LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=[\"']([^\"']*)|url\((.*?)\)")


def test_what_the_page_shows_of_a_pose_is_what_the_notebook_shows():
    size = 64, 32
    session = onnxruntime.InferenceSession(studio_page.maps_graph(*size))
    rng, limits = np.random.default_rng(0), (size[1] - 1, size[0] - 1)
    poses = (rng.uniform(-0.2, 1.2, (4, 18, 2)) * limits).clip(0, limits).astype(np.float32)
    poses[1, ::2] = -1
    poses[2] = poses[2].round()
    for pose in poses[:, None]:
        heat, mask, person = session.run(["heatmaps", "mask", "person"], {"target_keypoints": pose})
        batch = torch.from_numpy(pose)
        maps, expected = heatmaps(batch, *size)[0].numpy(), pose_mask(batch, *size)[0].numpy()
        colours = figures.colour_heatmaps(maps).astype(float)
        assert np.abs((heat[0].transpose(1, 2, 0) + 1) * 127.5 - colours).max() < 1e-3
        assert (mask[0] == 2 * expected - 1).all()
        share = background.person(pose, *size)[0, ..., 0]
        np.testing.assert_allclose((person[0] + 1) / 2, np.stack([share] * 3), atol=1e-5)


def test_every_formula_of_the_notebooks_is_drawn():
    cells = [cell for path in NOTEBOOKS for cell in json.loads(path.read_text())["cells"]]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    formulas = [match for text in texts for match in site.FORMULA.finditer(text)]
    assert len({match[0] for match in formulas}) > 40
    assert [match[0] for match in formulas if site.drawn(match).startswith("<code")] == []
    assert site.drawn(re.match(site.FORMULA, r"$\nonsense$")) == r"<code>\nonsense</code>"


def test_pages_load_nothing_from_outside_and_their_links_lead_somewhere(tmp_path):
    documents = [project() / "docs" / f"{name}.md" for name in ("results", "own-data")]
    sources = [NOTEBOOKS[2], project() / "README.md", *documents]
    places = {path: path.relative_to(project()).with_suffix(".html") for path in sources}
    titles = [site.write_source(path, tmp_path, places) for path in sources]
    assert titles[:2] == ["3 · The pose mask loss", "PG2: a reproducible companion"]
    assert titles[2:] == ["Results", "Your own data"]
    for name in ("index.html", "studio.html", "report/report.html"):  # which every page names
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    links = parts = 0
    for place in places.values():
        page = tmp_path / place
        text = page.read_text(encoding="utf-8")
        loaded = [(match[1] or match[2]).strip("\"'") for match in LOADED.finditer(text)]
        linked = re.findall(r'<a [^>]*href="([^"#]+)', text)
        linked = [address for address in linked if not re.match("https?:", address)]
        for address in linked + [one for one in loaded if not one.startswith("data:")]:
            assert (page.parent / address).is_file(), address
        links += len(linked)
        for address, part in re.findall(r'<a href="([^":#]*)#([^"]+)"', text):
            to = (page.parent / address).resolve() if address else page
            if to in {tmp_path / one for one in places.values()}:
                assert f'id="{part}"' in to.read_text(encoding="utf-8"), f"{address}#{part}"
                parts += 1
    assert links > 20 and parts > 2


def test_the_first_page_shows_a_picture_that_the_site_has():
    text = (site.HERE / "pages" / "index.html").read_text(encoding="utf-8")
    picture = re.search(r'<img src="files/([^"]+)"', text)[1]
    assert (project() / picture).is_file()
    assert f"({picture})" in (project() / "README.md").read_text(encoding="utf-8")  # copied for it


def test_the_report_leads_back_to_the_site(tmp_path):
    study = "synthetic-market-demo"
    shutil.copytree(project() / "figures" / study, tmp_path / "figures" / study)
    report = tmp_path / "site" / "report"
    write_report(tmp_path / "figures", report)
    site.lead_back(report)
    assert "report.html" in own_files.own_files(report)  # `pg2 report --out` may replace it
    text = (report / "report.html").read_text(encoding="utf-8")
    first = re.search(r"<main|<nav", text).start()
    assert text[:first].count('<a href="../index.html">') == 1
    for address in re.findall(r'<a href="([^"#:]+)"', text):
        assert address == "../index.html" or (report / address).exists(), address


def test_a_link_that_leads_nowhere_is_text(tmp_path):
    source = project() / "docs" / "results.md"
    places = {source: site.Path("docs/results.html"), NOTEBOOKS[0]: site.Path("notebooks/a.html")}
    text = '<a href="../figures">f</a> <a href="../notebooks/{}#x">n</a> <a href="#y">y</a>'
    linked = site.linked(text.format(NOTEBOOKS[0].name), source, tmp_path, places)
    assert linked == '<a >f</a> <a href="../notebooks/a.html#x">n</a> <a href="#y">y</a>'


def test_a_folder_with_other_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "diary.txt").write_text("mine")
    assert cli.main(["site", "--out", str(tmp_path)]) == 2
    assert "holds files but no site" in capsys.readouterr().err
    assert (tmp_path / "diary.txt").read_text() == "mine"


def test_a_second_site_replaces_the_first_and_keeps_what_is_not_its_own(tmp_path, monkeypatch):
    out, made = tmp_path / "site", ["studio/old.js", "studio.html"]

    def write(folder, text):
        for name in made:
            site.write_page(folder, name, name, text)

    monkeypatch.setattr(site, "write_studio", lambda study, folder, log: write(folder, "studio"))
    monkeypatch.setattr(site, "write_pages", lambda folder: site.write_page(folder, "a", "a", "a"))
    assert cli.main(["site", "--out", str(out)]) == 0
    (out / "studio" / "mine.txt").write_text("mine")
    made[:] = ["studio/new.js", "studio.html"]
    assert cli.main(["site", "--out", str(out)]) == 0
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert files == {"a", "manifest.json", "studio.html", "studio/mine.txt", "studio/new.js"}
    (out / "studio.html").write_text("edited")
    (out / "studio" / "new.js").unlink()
    assert cli.main(["site", "--out", str(out)]) == 2
    assert (out / "studio.html").read_text() == "edited"
    assert not (out / "studio" / "new.js").exists()


def test_a_file_outside_the_project_stays_outside_the_site(tmp_path, monkeypatch):
    project, out = tmp_path / "project", tmp_path / "out"
    (project / "docs").mkdir(parents=True)
    (project / "LICENSE").write_text("free")
    (tmp_path / "diary.txt").write_text("mine")
    monkeypatch.setattr(site.runs, "project", lambda: project)
    source = project / "docs" / "a.md"
    text = '<a href="../../diary.txt">d</a> <a href="../LICENSE">l</a>'
    linked = site.linked(text, source, out, {source: site.Path("docs/a.html")})
    assert linked == '<a >d</a> <a href="../files/LICENSE">l</a>'
    assert [path for path in out.rglob("*") if path.is_file()] == [out / "files" / "LICENSE"]


def test_only_a_studio_of_photographs_warns_of_passing_it_on(tmp_path, monkeypatch):
    monkeypatch.setattr(studio_page, "write", lambda study, folder, log: None)
    pages = {}
    for name in ("synthetic-market", "market1501"):
        site.write_studio(Study(name, "smoke"), tmp_path / name, print)
        pages[name] = (tmp_path / name / "studio.html").read_text(encoding="utf-8")
    warning = "Shows people of market1501: not for redistribution."
    assert warning in pages["market1501"] and "this project draws" not in pages["market1501"]
    assert "redistribution" not in pages["synthetic-market"]
    assert "people that this project draws" in pages["synthetic-market"]


def test_the_page_takes_the_rows_that_a_photo_and_a_pose_are_enough_for(monkeypatch):
    study, rows = Study(profile="smoke"), ["G1-L1", "PATN", "SoftGated", "G1+G2+D"]
    monkeypatch.setattr(studio_page.models, "rows", lambda: rows)
    assert studio_page.painted(study) == ("G1-L1", "G1+G2+D")
    rows[:] = ["PATN"]
    with pytest.raises(UserError, match="make demo"):
        studio_page.painted(study)


def test_the_people_of_the_page_have_their_own_names_and_poses(data, monkeypatch):
    monkeypatch.setattr(studio_page, "CHOICES", 2)
    pair = next(pair for pair in data.test_pairs.tolist() if min(pair) > 35)
    keypoints = data.keypoints.copy()
    keypoints[:, 0] = -1  # all but one pair lack the nose
    keypoints[pair] = data.keypoints[studio.opening(data)]
    few = replace(data, keypoints=keypoints)
    pair, choices = studio.opening(few).tolist(), studio.choices(few)
    names = dict(zip(choices, studio.Studio(few, lambda row: None, ["G1-L1"]).labels))
    people, images = studio_page.samples(few, ("G1-L1",))
    shown = sorted({*choices[:2], *pair})
    assert min(pair) > choices[2]  # or places among all and among those shown are the same
    np.testing.assert_array_equal(images, data.images[shown])
    assert people["labels"] == [names[image] for image in shown]
    assert [shown[people[name]] for name in ("condition", "target")] == pair
    for pose, image in zip(people["poses"], shown):
        found = [[-1, -1] if place is None else place for place in pose]
        np.testing.assert_array_equal(found, keypoints[image])
