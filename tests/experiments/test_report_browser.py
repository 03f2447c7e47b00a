"""Pages in a browser: `pytest -m slow tests/experiments/test_report_browser.py`.

Of a simulation, a grid, a run between hospitals and one of its sites, a grid between hospitals, a
study and a sweep, at 1280 and 390 pixels. It needs Chromium (Debian: apt-get install chromium).
"""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fedbrain.analysis.html_page import PNG
from fedbrain.deploy.server_side.cells import Targets, run_cells
from fedbrain.deploy.site_side.audit import Audit
from fedbrain.experiments import compare, grid, sweep
from fedbrain.experiments.report import write_report
from tests.deploy.study_config import SITES, get_config
from tests.deploy.test_hospital_grid import Engine
from tests.deploy.test_splits import run_of_splits as run_of_splits  # a fixture
from tests.experiments.test_grid import tiny
from tests.experiments.test_report import workdir as workdir  # a fixture
from tests.experiments.test_study import small
from tests.experiments.test_sweep import tiny as tiny_sweep

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed"),
]
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr")
WIDTHS = (1280, 390)
# What a reader would object to, found in the page: sentences.
PROBE = """
<iframe src="PAGE" width=WIDTH height=900 style="border:0"></iframe><pre id=told></pre>
<script>
const frame = document.querySelector("iframe");
const rgb = text => text.match(/[\\d.]+/g).map(Number);
const light = c => rgb(c).slice(0, 3).map(v => v / 255)
  .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, k) => sum + v * [.2126, .7152, .0722][k], 0);
const behind = element => {
  for (let e = element; e; e = e.parentElement) {
    const colour = frame.contentWindow.getComputedStyle(e).backgroundColor;
    if ((rgb(colour)[3] ?? 1) > 0) return colour;
  }
  return "rgb(255, 255, 255)";
};
const scrolls = element => element.closest(".wide, figure");
frame.onload = () => {
  const page = frame.contentDocument, view = frame.contentWindow, wrong = [];
  const root = page.documentElement;
  if (root.scrollWidth > WIDTH) wrong.push(`page scrolls to ${root.scrollWidth}`);
  for (const link of page.querySelectorAll("a")) {
    const target = page.getElementById(link.getAttribute("href").slice(1));
    if (!target || !target.getBoundingClientRect().height) wrong.push(`link ${link.href}`);
  }
  for (const image of page.images) if (!image.naturalWidth) wrong.push(`image ${image.alt}`);
  const texts = [...page.body.querySelectorAll("*")].filter(e =>
    [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
  for (const e of texts) {
    const style = view.getComputedStyle(e), box = e.getBoundingClientRect();
    const [a, b] = [light(style.color), light(behind(e))].sort((x, y) => y - x);
    const name = `${e.tagName} ${e.textContent.slice(0, 40)}`;
    if ((a + .05) / (b + .05) < 4.5) wrong.push(`contrast of ${name}`);
    if (parseFloat(style.fontSize) < 13) wrong.push(`${style.fontSize} of ${name}`);
    if (!scrolls(e) && (box.right > WIDTH || box.left < 0)) wrong.push(`cut ${name}`);
    if (e.scrollWidth > e.clientWidth + 1 && style.display !== "inline" && !scrolls(e))
      wrong.push(`overflows ${name}`);
  }
  for (const e of page.querySelectorAll("caption"))
    if (e.getBoundingClientRect().right > WIDTH) wrong.push(`cut caption ${e.textContent}`);
  for (const e of page.querySelectorAll("td"))
    if (/\\b(nan|NaN|None)\\b/.test(e.textContent)) wrong.push(`cell ${e.textContent}`);
  for (const wide of page.querySelectorAll(".wide")) {
    wide.scrollLeft = 1e6;
    const names = [...wide.querySelectorAll("tbody th[scope=row], tbody th span")];
    const left = wide.getBoundingClientRect().left - 1;
    const gone = names.filter(e => e.getBoundingClientRect().left < left);
    if (gone.length && !wide.querySelector(".text"))
      wrong.push(`names scroll away: ${gone[0].textContent}`);
  }
  document.getElementById("told").textContent = JSON.stringify(wrong);
};
</script>
"""


def browse(frame, width, *flags):
    """A page that is opened: what the browser says on its console, and what it prints."""
    size = f"--window-size={max(width, 500)},5000"
    command = [BROWSER, *FLAGS, "--allow-file-access-from-files", size, *flags, frame.as_uri()]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return [line for line in told.stderr.splitlines() if ":CONSOLE" in line], told.stdout


def photograph(page, picture, width):
    """What the browser says on its console; the page in a frame of that width."""
    frame = picture.with_suffix(".frame.html")
    frame.write_text(f'<iframe src="{page.as_uri()}" width={width} height=5000></iframe>')
    return browse(frame, width, f"--screenshot={picture}")[0]


def probe(page, width):
    """What a reader would object to."""
    frame = page.with_suffix(f".{width}.probe.html")
    frame.write_text(PROBE.replace("PAGE", page.as_uri()).replace("WIDTH", str(width)))
    console, dom = browse(frame, width, "--virtual-time-budget=20000", "--dump-dom")
    assert console == []
    found = re.search(r'<pre id="told">(.*?)</pre>', dom, re.S)
    assert found
    assert found[1], "the page was not looked at"
    return json.loads(html.unescape(found[1]))


def require_readable(page, folder):
    for width in WIDTHS:
        picture = folder / f"{width}.png"
        assert photograph(page, picture, width) == []
        assert picture.read_bytes().startswith(PNG)
        assert picture.stat().st_size > 20_000  # not an empty page
        assert probe(page, width) == []


def test_a_simulation(workdir, tmp_path):
    require_readable(write_report(workdir), tmp_path)


@pytest.mark.usefixtures("shared_programs", "no_figures")
def test_a_grid(tmp_path, scans):
    grid.run(tiny(scans), tmp_path / "grid")
    require_readable(write_report(tmp_path / "grid"), tmp_path)


@pytest.mark.parametrize("run_of_splits", [1], indirect=True)
@pytest.mark.parametrize("place", ["server", "amber"])
def test_a_run_between_hospitals_and_a_site(run_of_splits, place, tmp_path):
    kit = tmp_path / "kit"
    shutil.copytree(run_of_splits[0] / place, kit / "run")
    if place == "amber":
        record = Audit(kit / "audit.jsonl")
        for direction in ("in", "out"):
            record.record(direction, b"a sentence", {"epsilon_of_all": 2.5, "delta_dp": 1e-5})
    page = write_report(kit / "run")
    assert ("What left this site" in page.read_text()) == (place == "amber")
    require_readable(page, tmp_path)


def test_a_grid_between_hospitals(tmp_path):
    how = {"targets": Targets("age", "sdmt"), "sites": list(SITES)}
    run_cells(Engine(), get_config(), tmp_path / "grid", **how)
    require_readable(write_report(tmp_path / "grid"), tmp_path)


@pytest.mark.parametrize("tuned", [False, True])
def test_a_study(tuned, tmp_path):
    config = small()
    config.methods.update({"a method whose name is long": {"server": {"aggregator": "median()"}}})
    config.attacks = {"none": {}, "sign flip": {"attack": ("sign_flip(num_byzantine=1)",)}}
    if tuned:
        rates = {"client": {"optimizer": ("sgd(0.1)", "sgd(0.01)")}}
        config.tune.update({"trials": 2, "fields": rates})
    compare.run(config, tmp_path / "study")
    require_readable(write_report(tmp_path / "study"), tmp_path)


@pytest.mark.usefixtures("shared_programs", "no_figures")
def test_a_sweep(tmp_path, scans):
    sweep.run(tiny_sweep(scans), tmp_path / "sweep")
    require_readable(write_report(tmp_path / "sweep"), tmp_path)


def test_the_console_would_tell(tmp_path):
    page = tmp_path / "wrong.html"
    page.write_text("<script>console.error('wrong')</script>")
    assert len(photograph(page, tmp_path / "page.png", 390)) == 1


def test_the_probe_would_tell(tmp_path):
    page = Path(tmp_path / "wrong.html")
    page.write_text(
        '<a href="#no">to nowhere</a><p style="color: #999">pale</p>'
        '<p style="font-size: 9px">small</p><p style="width: 900px">wide</p>'
        '<div class="wide" style="width: 90px; overflow: auto"><table>'
        '<caption style="min-width: 999px">a caption</caption><tbody><tr>'
        '<th scope=row style="min-width: 300px">name</th><td>nan</td></tr></tbody></table></div>'
    )
    told = " ".join(probe(page, 390))
    for words in ("page scrolls", "link ", "contrast of P pale", "9px of P small", "cut P wide",
                  "names scroll away", "cut caption a caption", "cell nan"):  # fmt: skip
        assert words in told
