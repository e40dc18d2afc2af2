"""Real JupyterLab for the tests beside this file: a server of its own, and pages that may reach
nothing but that server."""

import ast
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
ARTEFACTS = PROJECT / ".test-artifacts"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Nothing but this machine has a name or is reached, whatever a page or the browser itself asks for.
FLAGS = (
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
LOCAL_HOSTS = {"127.0.0.1", "localhost"}
LOCAL_SCHEMES = {"data", "blob", "about", "file"}
KERNEL_ERROR = "a widget's message failed in the kernel:"
# Milliseconds. Pages and cells take a fraction of this; a machine busy with training takes longer.
SOON, LOAD, RUN = 30_000, 90_000, 240_000


def find_browser():
    """Path of a Chromium or Chrome, $PG2_CHROMIUM where that is set; None where there is none."""
    named = os.environ.get("PG2_CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else BROWSERS)), None)


def artefact(name):
    """Path of a file that is kept after the tests."""
    ARTEFACTS.mkdir(exist_ok=True)
    return ARTEFACTS / name


# ---- the server


@dataclass(frozen=True)
class Server:
    """A running Jupyter server; root is the folder it serves and log the file it writes to."""

    url: str
    token: str
    root: Path
    log: Path

    def ask(self, path, method="GET"):
        """The JSON that the server's REST interface answers, None for an empty answer."""
        head = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/{path}", headers=head, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def end_kernels(self):
        """Shut down all notebooks' kernels."""
        for session in self.ask("sessions"):
            self.ask(f"sessions/{session['id']}", "DELETE")

    def lab(self, name):
        """Address of a notebook in JupyterLab, with no tab left from an earlier page."""
        return f"{self.url}/lab/tree/{quote(name)}?reset&token={self.token}"

    def notebook(self, name):
        """Address of a notebook in Notebook 7."""
        return f"{self.url}/notebooks/{quote(name)}?token={self.token}"


def configuration(port, token, root):
    """What the server is to do, and mainly what not: open a browser, or look for news, updates,
    extensions or language servers."""
    return {
        "ServerApp": {
            "ip": "127.0.0.1",
            "port": port,
            "port_retries": 0,
            "open_browser": False,
            "root_dir": str(root),
            "allow_root": True,
            "terminals_enabled": False,
            "jpserver_extensions": {"jupyterlab": True, "notebook": True, "jupyter_lsp": False},
            "shutdown_no_activity_timeout": 900,  # where the tests were killed
        },
        "IdentityProvider": {"token": token},
        "MappingKernelManager": {"cull_idle_timeout": 900},
        "LabApp": {
            "expose_app_in_browser": True,
            "extension_manager": "readonly",
            "news_url": None,
            "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        },
        "JupyterNotebookApp": {"expose_app_in_browser": True},
    }


DISABLED = ("apputils-extension:announcements", "extensionmanager-extension")


def start_server(folder, environment):
    """Start a Jupyter server on a free port, with its files and settings below `folder`.

    Returns (Server, process). It inherits this process's environment with `environment` on top,
    and so do its kernels.

    Raises:
        RuntimeError: the server ended or did not answer in time; with the end of its log.
    """
    root, settings, log = folder / "notebooks", folder / "config", folder / "server.log"
    root.mkdir(parents=True)
    for notebook in NOTEBOOKS:
        copy_without_outputs(notebook, root)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = os.urandom(16).hex()
    (settings / "labconfig").mkdir(parents=True)
    write_json(settings / "jupyter_server_config.json", configuration(port, token, root))
    disabled = {f"@jupyterlab/{name}": True for name in DISABLED}
    write_json(settings / "labconfig" / "page_config.json", {"disabledExtensions": disabled})
    places = {
        "JUPYTER_CONFIG_DIR": settings,
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "IPYTHONDIR": folder / "ipython",
    }
    environment = os.environ | environment | {name: str(path) for name, path in places.items()}
    environment.pop("JUPYTER_TOKEN", None)
    command = [sys.executable, "-m", "jupyterlab"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, env=environment, cwd=root, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    server = Server(f"http://127.0.0.1:{port}", token, root, log)
    deadline = time.monotonic() + LOAD / 1000
    while True:
        try:
            server.ask("status")
            return server, process
        except OSError:
            if process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.2)
                continue
        stop(process)
        text = log.read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(f"the Jupyter server did not start:\n{text[-3000:]}")


def stop(process):
    """End a server: kindly, and after ten seconds firmly."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def excerpt(server, name, last, **parameters):
    """Copy a served notebook up to the first cell with `last` in its source, with other
    parameters; returns the name of the copy."""
    notebook = json.loads((server.root / name).read_text(encoding="utf-8"))
    sources = ["".join(cell["source"]) for cell in notebook["cells"]]
    code = [cell["cell_type"] == "code" for cell in notebook["cells"]]
    end = next(k for k, source in enumerate(sources) if code[k] and last in source)
    notebook["cells"] = notebook["cells"][: end + 1]
    for cell, source in zip(notebook["cells"], sources):
        if "parameters" in cell["metadata"].get("tags", []):
            lines = [f"{parameter} = {value!r}" for parameter, value in parameters.items()]
            cell["source"] = "\n".join([source, *lines])
    copy = f"excerpt of {name}"
    write_json(server.root / copy, notebook)
    return copy


def write_json(path, content):
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def copy_without_outputs(path, folder):
    """Copy a notebook into a folder as it is before it has been run."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    write_json(folder / path.name, notebook)


# ---- what a page asked for and said


def of_widget(text):
    """Whether an error comes from a widget's module, which anywidget loads from a blob, or from
    its Python side (see `open_notebook`), and not from Jupyter itself."""
    return any(sign in text for sign in ("blob:", "anywidget", KERNEL_ERROR))


class Journal:
    """All requests, console messages and uncaught errors of one browser context, as they come;
    the addresses and errors since the last `clear`, the lines of the console from the start."""

    def __init__(self, context):
        self.addresses, self.lines, self.errors = [], [], []
        context.on("request", lambda request: self.addresses.append(request.url))
        context.on("console", self._console)
        context.on("weberror", lambda error: self._error(error.error))
        context.on("page", self._page)

    def clear(self):
        self.addresses.clear()
        self.errors.clear()

    def _page(self, page):
        page.on("websocket", lambda socket: self.addresses.append(socket.url))
        page.on("crash", lambda _: self._error("the page crashed"))

    def _console(self, message):
        place = message.location
        line = f"{message.type}: {message.text} ({place['url']}:{place['lineNumber']})"
        self.lines.append(line)
        if message.type == "error" and of_widget(line):
            self.errors.append(line)

    def _error(self, error):
        text = getattr(error, "stack", None) or str(error)
        self.lines.append(f"uncaught: {text}")
        if of_widget(text) or "    at " not in text:
            self.errors.append(text)

    def outside(self):
        """The addresses that are not on this machine."""
        parts = {address: urlsplit(address) for address in self.addresses}
        return sorted(
            address
            for address, part in parts.items()
            if part.scheme not in LOCAL_SCHEMES and part.hostname not in LOCAL_HOSTS
        )


# ---- notebooks in a page

# The notebook of a page: its panel, its kernel, and whether they are there; its code cells.
PANEL = """
const open = window.jupyterapp?.shell ? [...window.jupyterapp.shell.widgets('main')] : [];
const panel = open.find(widget => widget.content?.model?.cells);
const kernel = panel?.sessionContext?.session?.kernel;
const ready = panel?.content?.model && kernel && kernel.connectionStatus === 'connected';
const cells = ready ? [...panel.content.model.cells].filter(cell => cell.type === 'code') : [];
"""


# A widget's message that ends in an exception is no error of a cell: the kernel only tells the
# page, which shows nothing.
LISTEN = f"""panel.sessionContext.iopubMessage.connect((_, message) => {{
  const failed = message.header.msg_type === 'error';
  if (failed && message.parent_header.msg_type === 'comm_msg')
    console.error({json.dumps(KERNEL_ERROR)}, message.content.ename, message.content.evalue);
}})"""


def open_notebook(page, address):
    """Go to a notebook's address and wait for its cells and its kernel."""
    page.goto(address, timeout=LOAD)
    settle(page)


def settle(page):
    """Wait until the notebook of a page that was just loaded is there with its kernel."""
    wait(page, "ready && kernel.status === 'idle'", LOAD)
    evaluate(page, LISTEN)


def wait(page, condition, timeout):
    """Wait until a JavaScript expression over PANEL's names is true."""
    page.wait_for_function(f"() => {{ {PANEL} return {condition}; }}", timeout=timeout, polling=200)


def evaluate(page, expression):
    """The value of a JavaScript expression over PANEL's names."""
    return page.evaluate(f"async () => {{ {PANEL} return {expression}; }}")


def run_all(page, timeout=RUN):
    """Run all cells by the menu and wait until the last has ended or one has failed."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    failed = "cell.outputs.toJSON().some(output => output.output_type === 'error')"
    ended = "cell.executionCount !== null && cell.executionState === 'idle'"
    filled = "cell.sharedModel.getSource().trim()"
    done = f"cells.every(cell => ({ended}) || !{filled}) || cells.some(cell => {failed})"
    wait(page, f"ready && kernel.status === 'idle' && ({done})", timeout)


def faults(page):
    """The error outputs of the notebook, as texts: number of the cell, error, message."""
    outputs = evaluate(page, "cells.map(cell => cell.outputs.toJSON())")
    return [
        f"code cell {number}: {output['ename']}: {output['evalue']}"
        for number, cell in enumerate(outputs, start=1)
        for output in cell
        if output["output_type"] == "error"
    ]


def in_kernel(page, expression, setup=""):
    """The value of a Python expression in the notebook's kernel, by way of JSON.

    setup is code to run before it.
    """
    code = f"import json as _json\n{setup}"
    request = {"code": code, "store_history": False, "silent": False, "stop_on_error": False}
    request["user_expressions"] = {"value": f"_json.dumps({expression})"}
    call = f"(await kernel.requestExecute({json.dumps(request)}).done).content"
    content = evaluate(page, call)
    value = content.get("user_expressions", {}).get("value", content)
    if value.get("status") != "ok":
        raise AssertionError(f"{expression}: {value.get('ename')}: {value.get('evalue')}")
    return json.loads(ast.literal_eval(value["data"]["text/plain"]))


def binding(kind):
    """Code that calls the notebook's widget of a class `_widget`, for `in_kernel`."""
    return f"_widget = next(w for w in globals().values() if type(w).__name__ == {kind!r})"


def save(page):
    """Save the notebook, outputs and all."""
    evaluate(page, "panel.context.save()")


# ---- widgets in a page

# Keys that change the cells of JupyterLab and Notebook 7, or the mode: raw, Markdown, cut, insert
# above and below, delete, code, up, down, edit, command.
KEYS = (*"rmxabddy", "ArrowUp", "ArrowDown", "Enter", "Escape")


def cell_types(page):
    """The types of all cells of the notebook, in order."""
    return evaluate(page, "[...panel.content.model.cells].map(cell => cell.type)")


def try_keys(page, root, keys=KEYS, clicked=lambda control: True):
    """Click or focus each control of a widget that can be used, and press keys there; the cells
    must stay as they are and the widget on the page.

    clicked: whether a control, its (tag, data-do), is clicked and not just focused; Enter, which
    clicks, is pressed on no other.
    """
    playwright = pytest.importorskip("playwright.sync_api")
    before = cell_types(page)
    controls = root.locator("button, input, select, canvas[tabindex]")
    tried = []
    for control in controls.element_handles():
        if not (control.is_visible() and control.is_enabled()):
            continue
        about = control.evaluate("one => [one.tagName.toLowerCase(), one.dataset.do ?? one.type]")
        if about[0] != "select" and clicked(about):
            try:
                control.click(timeout=2_000)
            except playwright.TimeoutError:
                assert not control.is_enabled(), f"{about} cannot be clicked"
                continue  # the keys before have switched it off, as undo at its end
        if not control.evaluate("one => { one.focus(); return document.activeElement === one }"):
            continue  # the click hid or disabled it
        for key in keys:
            if key != "Enter" or clicked(about):
                page.keyboard.press(key)
        tried.append(about)
        assert cell_types(page) == before, f"keys at {about} changed the cells"
        assert root.is_visible(), f"keys at {about} took the widget away"
    return tried


def widget_in_view(page, selector):
    """Scroll to the output that holds a widget and return its root, once it is on the page."""
    kind = "application/vnd.jupyter.widget-view+json"
    shown = f"cell.outputs?.toJSON().some(output => output.data?.['{kind}'])"
    index = evaluate(page, f"[...panel.content.model.cells].findIndex(cell => {shown})")
    assert index >= 0, "no cell of the notebook shows a widget"
    evaluate(page, f"panel.content.scrollToItem({index}, 'start').then(() => null)")
    root = page.locator(selector).first
    root.wait_for(timeout=LOAD)
    root.scroll_into_view_if_needed()
    return root


def pixels(canvas):
    """What a canvas shows, as text that is equal where all pixels are."""
    return canvas.evaluate("canvas => canvas.toDataURL()")


def until(page, check, what, timeout=SOON):
    """Wait until check() is true; what says what is waited for."""
    deadline = time.monotonic() + timeout / 1000
    while not check():
        assert time.monotonic() < deadline, f"waited {timeout / 1000:.0f} s: {what}"
        page.wait_for_timeout(50)


def drop_file(target, name, mime, content):
    """Drop a file on an element, as from a file manager."""
    target.evaluate(
        """(element, [name, type, bytes]) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
          for (const event of ['dragenter', 'dragover', 'drop'])
            element.dispatchEvent(
              new DragEvent(event, { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        [name, mime, list(content)],
    )
