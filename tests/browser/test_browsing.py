"""The tools of these tests: they see what a page asks for, and do not pass where nothing is run."""

import os
import subprocess
import sys

import pytest
from browsing import PROJECT


@pytest.mark.parametrize("required", [True, False])
def test_without_a_browser_the_tests_are_skipped_or_fail_and_say_why(required, tmp_path):
    environment = os.environ | {"PG2_CHROMIUM": str(tmp_path / "none")}
    environment["PG2_BROWSER"] = "required" if required else ""
    one = "tests/browser/test_browsing.py::test_a_request_to_another_machine_is_seen"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", one]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True)
    said = next(line for line in done.stdout.splitlines() if "need Chromium" in line)
    assert "apt-get install chromium" in said
    assert ("1 error" if required else "1 skipped") in done.stdout
    assert done.returncode == (1 if required else 0)


def test_a_request_to_another_machine_is_seen(context, journal):
    page = context.new_page()
    for address in ("https://example.org/x", "http://127.0.0.1:9/x"):
        page.evaluate("address => fetch(address).catch(() => null)", address)
    page.evaluate("() => { new WebSocket('wss://example.org/s') }")
    page.wait_for_timeout(100)
    assert journal.outside() == ["https://example.org/x", "wss://example.org/s"]
    page.close()
    journal.clear()
