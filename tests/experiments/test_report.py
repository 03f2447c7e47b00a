"""The page about a work directory: the printed numbers, nobody's name, nothing else written."""

import json
import re
import shutil
from html import escape

import numpy as np
import pytest

import fedbrain
from fedbrain.analysis.figures import losses
from fedbrain.analysis.html_page import PNG
from fedbrain.deploy.protocol.wire import Envelope, pack
from fedbrain.deploy.site_side.audit import Audit
from fedbrain.experiments.catalogue import UsageError
from fedbrain.experiments.public_text import hide, public_command, public_site
from fedbrain.experiments.report import write_report
from fedbrain.experiments.report_data import data_report_blocks
from fedbrain.experiments.report_runs import runs_blocks
from fedbrain.experiments.workdir import MetricsLog
from tests.analysis.test_html_page import Checked
from tests.programs import run_program

RUN = "runs/federated/repeat0-split0"
CANARY = "CANARY77"


@pytest.fixture
def workdir(two_rounds, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(two_rounds, copy, ignore=shutil.ignore_patterns("checkpoints"))
    history = MetricsLog.read(copy / RUN / "metrics.jsonl")
    losses(copy / RUN / "losses.png", history, title="losses", synthetic=True)
    return copy


def _listing(folder):
    return {
        str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()
    }


def _edit(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_the_page_has_the_printed_numbers_and_changes_nothing_else(workdir):
    before = _listing(workdir)
    result = fedbrain.load(workdir)
    path = result.report()
    after = _listing(workdir)
    assert path == workdir / "report.html"
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {str(path)}
    text = path.read_text()
    page = Checked(text)
    assert "SYNTHETIC" in text
    cells = [c for line in result.table.splitlines()[1:] for c in line.split("  ") if c.strip()]
    lines = [line for line in cells if ":" not in line]
    assert [cell for cell in lines if f">{escape(cell.strip())}<" not in text] == []
    images = [attributes["src"].split(";")[0] for tag, attributes in page.tags if tag == "img"]
    modalities = json.loads((workdir / "intensities.json").read_text())
    drawn = len(result.metrics["regimes"]) + 1 + len(modalities)
    assert images == ["data:image/png", *["data:image/svg+xml"] * drawn]
    assert "Limits of agreement" in text
    assert "Intensities of the sites" in text
    assert "Distances of intensities" in text
    assert "effective rank" in text
    assert "TRIPOD+AI" in text
    assert "fewer than 5 people in a part" in text
    assert result.report(workdir / "again.html").read_bytes() == path.read_bytes()


def test_names_of_people_and_folders_stay_where_they_are(workdir):
    """In every place of the folder that could hold one."""
    person, folder = f"sub-{CANARY}", f"/data/{CANARY}/bids"

    def config(value):
        call = f"bids('{folder}', label='age', include=('{person}', '{CANARY}'))"
        value["config"]["sites"]["amber"] = call
        value["config"] |= {"cache": folder, "initial": f"run('{folder} x/y', head=False)"}

    def made(value):
        entry = value["processes"][0]
        flags = f"--site amber={folder},exclude={CANARY} --config.sites.amber=\"bids('{folder}')\""
        entry["command"] = f"/{CANARY}/python -m fedbrain.main {folder}/c.py {flags} --x {folder}"

    def data_report(value):
        value["left_out"] = {f"unusable {person}": [f"{folder}/{person}.nii: cut"]}
        value["notes"] = {"images that another site has too": [f"{person} is {CANARY}"]}

    _edit(workdir / "config.json", config)
    _edit(workdir / "made_by.json", made)
    _edit(workdir / "clients/amber/data_report.json", data_report)
    _edit(
        workdir / "results.json",
        lambda r: r.update(
            absent={"amber": {"rounds": 1, "of": 2, "reason": f"{folder}: {person}"}}
        ),
    )
    for name in ("scans.tsv", "predictions.tsv", "test.tsv"):
        path = workdir / "clients/amber" / name
        path.write_text(path.read_text().replace("sub-amber", person))
    (workdir / "figures").mkdir()
    (workdir / "figures" / f"{CANARY}.png").write_bytes(PNG)
    text = write_report(workdir).read_text()
    assert CANARY not in text
    assert "/data" not in text
    assert "sub-" not in text
    assert "bids(label=&#x27;age&#x27;)" in text
    assert "python -m fedbrain.main" in text
    assert "1 scan left out" in text
    assert "amber is missing in 1 of 2 rounds" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("phenotype/sdmt:score n/a", "phenotype/sdmt:score n/a"),
        ("file('~/a b/x.pt')", "file('(path)')"),
        (r"C:\data\x and \\server\share", "(path) and (path)"),
        ("http://host/x", "http:(path)"),
        ("sub-01_ses-2_T1w is cut", "(subject)_T1w is cut"),
    ],
)
def test_paths_and_subjects_are_hidden(text, shown):
    assert hide(text) == shown


def test_commands_and_sites_show_what_names_nobody():
    assert public_command("/x/fedbrain train c --site=a=/x,exclude=Z --config.rounds=3") == (
        "fedbrain train c --site=(path) --config.rounds=3"
    )
    assert public_command("python mine.py --person=Z") == "python (arguments not shown)"
    assert public_command("python 'cut") == "(arguments not shown)"
    assert public_site("bids('/x', 'age', columns={'sex': 'Z'})") == "bids()"
    assert public_site("no call") == "n/a"


def test_a_run_between_hospitals(two_rounds, tmp_path):
    results = json.loads((two_rounds / "results.json").read_text())
    clients = results["regimes"]["federated"]["clients"]
    network = {
        "unit": "years", "synthetic": False, "rounds": 2, "best_round": 1, "best_loss": 1.0,
        "clients": clients, "macro": results["regimes"]["federated"]["macro"],
        "untold": {"delta": "no answer before the deadline"},
        "absent": {"delta": {"rounds": 1, "of": 2, "reason": "late"}}, "variables_sha256": "ab12",
        "alone": clients, "undescribed": {"delta": "its [allow] does not open describe"},
        "baselines": {"ridge": {
            "clients": clients, "without": {"delta": "closed"}, "untold": {"birch": "late"},
        }},
        "crossed": {"alone-amber": clients},
        "groups": {"sex": {"federated": {"amber": [], "birch": [
            {"low": 1.0, "high": 1.0, "n": 6, "subjects": 6, "mae": 7.125, "mae_95": [5.0, 9.0],
             "mae_se": 1.0, "floor_mae": 16.0},
        ]}}},
    }  # fmt: skip
    (tmp_path / "results.json").write_text(json.dumps(network))
    text = write_report(tmp_path).read_text()
    Checked(text)
    assert "SYNTHETIC" not in text
    assert "Run between hospitals" not in text  # config.json is not there
    assert "Together, mean of 3 sites: MAE" in text
    assert "Without test results of delta: see Who is missing." in text
    told = (
        "delta: no test results: no answer", "missing in 1 of 2 rounds", "ab12",
        "Accuracy: Together", "Accuracy: Each site alone", "Accuracy: ridge", "alone-amber",
        "ridge: fitted without delta: closed", "ridge: birch: no test results: late",
        "delta: no tables of its cohort", "Groups of people: sex", "birch, male", ">7.12<",
        "not told of amber",
    )  # fmt: skip
    assert [words for words in told if words not in text] == []


def test_a_site_reads_what_left_it(workdir):
    """From the record that lies beside the folders of its runs."""
    record = Audit(workdir.parent / "audit.jsonl")
    vectors = {"delta": np.arange(1000, dtype=np.float32) / 7}
    for round in (0, 1):
        asked = Envelope("train", "server", round, "n", "c", "s", {})
        record.record("in", pack(asked, {}))
        answer = pack(asked._replace(kind="update", sender="amber"), vectors)
        record.record("out", answer, {"epsilon_of_all": 2.0 + round, "delta_dp": 1e-5})
    with (workdir.parent / "audit.jsonl").open("a") as file:
        file.write("{cut")
    page = Checked(text := write_report(workdir).read_text())
    assert page.tags
    size = f"{2 * len(answer) / 1000:,.1f}"
    row = re.sub(r"<[^>]+>", " ", text.partition("numbers in each")[2])
    assert row.split()[6:16] == [
        "update", "2", "1,000", size, "change", "of", "the", "weights", "after", "training",
    ]  # fmt: skip
    assert "come to: epsilon 3 at delta 1e-05." in text


def test_what_is_most_important_comes_first(workdir):
    text = write_report(workdir).read_text()
    first = text.partition("<h2")[2].partition("</section>")[0]
    assert ">In short</h2>" in first
    assert re.search(
        r"federated, \d+ test scans: MAE \d+\.\d+ years \(95 % .*median predictor", first
    )


def test_a_folder_without_intensities_has_no_section_of_them(workdir):
    """As a run between hospitals has none, and as older folders have none."""
    (workdir / "intensities.json").unlink()
    text = fedbrain.load(workdir).report().read_text()
    assert "Intensities of the sites" not in text
    assert "Who holds what" in text


def test_damaged_files_beside_the_results_are_said(workdir):
    (workdir / RUN / "losses.png").write_bytes(PNG + b"cut")
    for name in ("made_by.json", "config.json", "clients/amber/data_report.json"):
        (workdir / name).write_text("{")
    text = write_report(workdir).read_text()
    Checked(text)
    assert "the file is damaged, and is not shown" in text
    assert "made_by.json is not in this folder, or cannot be read" in text
    assert "The configuration is not in this folder" in text


def test_mistakes_are_sentences(workdir, tmp_path):
    for output in (workdir / "results.json", tmp_path):
        with pytest.raises(UsageError, match="expected the name of a page"):
            write_report(workdir, output)
    with pytest.raises(ValueError, match=r"cannot be written there \(No such file.*--output"):
        write_report(workdir, tmp_path / "no/report.html")
    with pytest.raises(ValueError, match="expected the work directory of a finished experiment"):
        write_report(tmp_path)
    _edit(workdir / "results.json", lambda r: r.pop("baselines"))
    with pytest.raises(ValueError, match="expected results as this version writes them"):
        write_report(workdir)
    assert not list(tmp_path.rglob("*.html"))


def test_the_command(workdir, tmp_path):
    done = run_program("fedbrain.report", workdir, f"--output={tmp_path / 'a.html'}")
    assert (done.returncode, done.stdout) == (0, f"Report: {tmp_path / 'a.html'}\n")
    assert run_program("fedbrain.report", tmp_path / "no").returncode == 1
    assert run_program("fedbrain.report", workdir, "--output=a.txt").returncode == 2


def test_the_page_tells_chosen_rounds_and_events(workdir):
    history = MetricsLog.read(workdir / RUN / "metrics.jsonl")
    lines = [
        {**history[0], "round": k, "skipped": float(k == 2), "best_round": min(k, 3)}
        | {"learning_rate_scale": 1.0 if k < 4 else 0.5, "valid_loss": 7.0 + abs(k - 3)}
        for k in range(1, 6)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (workdir / RUN / "metrics.jsonl").write_text(text)
    (block,) = runs_blocks(workdir, 9)
    (row,) = [row for row in block.rows if row[0] == "federated, repeat0-split0"]
    assert row[1:4] == ["5 of 9", "3", "7.00"]
    assert row[4] == (
        "the server took no step in round 2; the learning rate fell after round 4, to 0.5 of the"
        " first; stopped early after round 5"
    )
    page = write_report(workdir).read_text()
    Checked(page)
    assert "Chosen rounds, by validation loss, and events" in page
    assert list(runs_blocks(workdir / "nowhere", None)) == []


def test_the_page_tells_what_was_noted_of_scans_and_of_nobody_by_name(workdir):
    path = workdir / "clients/amber/data_report.json"
    report = {
        "site": "amber", "found": 9, "kept": 7, "left_out": {"no label": [CANARY, CANARY]},
        "notes": {"sform and qform disagree": [f"{CANARY}: the sform was used."] * 3},
        "voxel_sizes_mm": {f"1 x 1 x {k}": k for k in range(1, 6)}, "looked_at": 7,
        "without_skull": 6,
    }  # fmt: skip
    path.write_text(json.dumps(report))
    counts, notes = data_report_blocks(workdir)
    (row,) = [row for row in counts.rows if row[0] == "amber"]
    sizes = "1 x 1 x 5: 5; 1 x 1 x 4: 4; 1 x 1 x 3: 3; 2 other sizes"
    assert row[1:] == ["9", "7", "2", sizes, "6 of 7"]
    assert ["amber", "sform and qform disagree", "3"] in notes.rows
    page = write_report(workdir).read_text()
    assert "What was noted of the data" in page
    assert CANARY not in page
