"""Fixtures of the browser tests. They come last, after the notebooks under nbval, whose trained
rows they read.

They need Playwright and a Chromium; without, they are skipped with one reason, or fail where
PG2_BROWSER=required. What a failed test saw lies in .test-artifacts/, under the test's name.
"""

import os
import re
import shutil
from pathlib import Path

import pytest
from browsing import ARTEFACTS, FLAGS, LOAD, Journal, artefact, find_browser, start_server, stop

HERE = Path(__file__).resolve().parent
ENVIRONMENT = dict(os.environ)  # with the store of the conftest above, before unit tests take over
VIEW = {"width": 1400, "height": 1000}


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: HERE in item.path.parents)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    context = item.funcargs.get("context")
    if context is not None and call.excinfo and not report.skipped:
        name = re.sub(r"[^\w.-]+", "_", item.nodeid.rpartition("/")[2])
        folder = keep(artefact(name), context, item.funcargs.get("server"))
        report.sections.append(("What the browser showed", f"Screenshots and logs: {folder}"))
    return report


def keep(folder, context, server):
    """Save screenshots of all pages of a context, its journal and the server's log."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, page in enumerate(context.pages, start=1):
        try:
            page.screenshot(path=folder / f"page{number}.png", timeout=10_000)
        except Exception as error:  # a page that hangs must not hide why the test failed
            (folder / f"page{number}.txt").write_text(f"no screenshot: {error}", encoding="utf-8")
    journal = context.journal
    lines = [*journal.lines, "", "Asked for:", *dict.fromkeys(journal.addresses)]
    (folder / "console.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if server is not None:
        shutil.copy(server.log, folder / "server.log")
    return folder


def without(what, remedy):
    """Skip, or fail where the browser tests are required."""
    reason = f"the browser tests need {what}: {remedy}"
    if os.environ.get("PG2_BROWSER") == "required":
        pytest.fail(f"{reason} (PG2_BROWSER=required forbids skipping)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="module", autouse=True)
def environment():
    """Not the unit tests' throw-away store: the notebooks' own."""


@pytest.fixture(scope="session")
def browser():
    """Chromium, which all tests share."""
    install = "apt-get install chromium, or name one with PG2_CHROMIUM=<path>"
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        without("Playwright", "pip install playwright")
    path = find_browser()
    if path is None:
        without("Chromium", install)
    shutil.rmtree(ARTEFACTS, ignore_errors=True)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=LOAD)
        except Error as error:
            without(f"a Chromium that starts ({str(error).splitlines()[0]})", install)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(browser, tmp_path_factory):
    """A Jupyter server over a copy of the notebooks; its kernels use the smoke profile's store."""
    server, process = start_server(tmp_path_factory.mktemp("jupyter"), ENVIRONMENT)
    yield server
    stop(process)


@pytest.fixture(scope="module")
def context(browser):
    """What a fresh browser is to a person: no cookies, nothing stored; with its journal."""
    context = browser.new_context(viewport=VIEW)
    context.journal = Journal(context)
    yield context
    context.close()


@pytest.fixture(autouse=True)
def journal(context):
    """After each test: nothing was asked of another machine, and no widget failed."""
    context.journal.clear()
    yield context.journal
    faults = [f"asked another machine: {address}" for address in context.journal.outside()]
    faults += context.journal.errors
    if faults:
        pytest.fail("\n".join(faults), pytrace=False)


@pytest.fixture
def page(context, server):
    """An empty page; the kernels it started end with it."""
    page = context.new_page()
    yield page
    page.close()
    server.end_kernels()
