"""The page in a browser: `pytest -m slow tests/experiments/test_report_browser.py`.

It needs Chromium (Debian: apt-get install chromium).
"""

import shutil
import subprocess

import pytest

from fedbrain.analysis.html_page import PNG
from fedbrain.experiments.report import write_report
from tests.experiments.test_report import workdir as workdir  # a fixture

pytestmark = pytest.mark.slow
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr")


def photograph(page, picture, width):
    """What the browser says on its console; the page in a frame of that width."""
    frame = picture.with_suffix(".frame.html")
    frame.write_text(f'<iframe src="{page.as_uri()}" width={width} height=5000></iframe>')
    size, target = f"--window-size={max(width, 500)},5000", f"--screenshot={picture}"
    command = [BROWSER, *FLAGS, size, target, frame.as_uri()]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return [line for line in told.stderr.splitlines() if ":CONSOLE" in line]


@pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wrong_on_the_console(workdir, tmp_path, width):
    page, picture = write_report(workdir), tmp_path / "page.png"
    assert photograph(page, picture, width) == []
    assert picture.read_bytes().startswith(PNG)
    assert picture.stat().st_size > 20_000  # not an empty page


@pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
def test_the_console_would_tell(tmp_path):
    page = tmp_path / "wrong.html"
    page.write_text("<script>console.error('wrong')</script>")
    assert len(photograph(page, tmp_path / "page.png", 390)) == 1
