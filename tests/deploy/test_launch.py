"""An experiment between hospitals from its command, with an engine that does as it is told."""

import json

import fedbrain
from fedbrain.deploy.server_side.launch import run_experiment
from fedbrain.experiments.workdir import write_json
from tests.experiment_under_test import config

SITES = ["amber", "birch", "cedar"]


class Done:
    """An engine whose only job ends at once, with results."""

    def __init__(self, workdir):
        self.workdir, self.closed = workdir, False

    def submit(self, job):
        assert (job / "meta.json").is_file()
        (self.workdir / "report.txt").write_text("The report.\n")
        return "1"

    def state(self, job):
        write_json(self.workdir / "results.json", {})
        return "FINISHED:COMPLETED"

    def abort(self, job):
        raise AssertionError

    def forget(self, job):
        del job

    def sites(self):
        return dict.fromkeys(SITES, 1.0)

    def idle(self, job):
        return set()

    def close(self):
        self.closed = True


def test_a_run_says_what_made_it_and_prints_its_report(tmp_path, capsys):
    small = config(tmp_path, rounds=2, regimes=("federated",))
    small.driver, small.residence = "loop()", "streamed()"
    workdir, engine = tmp_path / "run", Done(tmp_path / "run")
    fields = {"config": small.to_dict(), "target": "age", "sites": SITES}
    run_experiment(lambda: engine, tmp_path / "kit", workdir, fields, fewest=2, deadline_s=60)
    assert engine.closed
    assert "The report." in capsys.readouterr().out
    [entry] = json.loads((workdir / "made_by.json").read_text())["processes"]
    assert (entry["fedbrain"], entry["outcome"]) == (fedbrain.__version__, "finished")


class DoneElsewhere(Done):
    """The same at a server of its own, from which results are fetched."""

    def submit(self, job):
        told = json.loads((job / "app/config/config_fed_server.json").read_text())
        assert told["workflows"][0]["args"]["lead_elsewhere"]
        return "1"

    def state(self, job):
        return "FINISHED:COMPLETED"

    def order(self, job, orders):
        raise AssertionError((job, orders))  # the job does not run

    def fetch(self, job, folder):
        given = folder / job / "workspace/fedbrain"
        given.mkdir(parents=True)
        for name in ("status.json", "results.json"):
            write_json(given / name, {"round": 2})
        (given / "report.txt").write_text("The report of the server.\n")


def test_a_lead_without_the_servers_kit_brings_the_results(tmp_path, capsys):
    small = config(tmp_path, rounds=2, regimes=("federated",))
    small.driver, small.residence = "loop()", "streamed()"
    workdir, engine = tmp_path / "run", DoneElsewhere(tmp_path / "run")
    fields = {"config": small.to_dict(), "target": "age", "sites": SITES}
    run_experiment(lambda: engine, None, workdir, fields, fewest=2, deadline_s=60)
    assert "The report of the server." in capsys.readouterr().out
    assert json.loads((workdir / "results.json").read_text()) == {"round": 2}
