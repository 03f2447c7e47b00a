"""Kills of the whole study between hospitals: python -m tests.faults.study_kills --folder=DIR
[--times=20].

Server, sites and the centre's command are killed in mid-round, in mid-save and between experiments.
At the end no round that was done may have been lost, and tables and models must be those of the
simulated grid, bit for bit. What happened goes to DIR/kills.jsonl.
"""

import itertools
import json
import random
import subprocess
import time
from pathlib import Path

from absl import app, flags

from tests.faults.consortium import status, wait_for
from tests.faults.study import Study

COMMAND = ("", "command")
Hit = tuple[str, str, list[tuple[str, str]]]  # name, what the server does, [(kit, processes)]
WITHIN: list[Hit] = [
    ("server's job process, in mid-round", "update", [("server", "job")]),
    ("a site's job process, in mid-round", "update", [("birch", "job")]),
    ("server, both processes, in mid-save", "saving", [("server", "parent"), ("server", "job")]),
    ("a whole site, in mid-round", "update", [("cedar", "parent"), ("cedar", "job")]),
    ("the centre's command, in mid-round", "update", [COMMAND]),
    ("server's job process, while aggregating", "aggregating", [("server", "job")]),
]
BETWEEN: list[Hit] = [
    ("the centre's command, between experiments", "", [COMMAND]),
    ("server, between experiments", "", [("server", "parent"), ("server", "job")]),
    ("a whole site, between experiments", "", [("amber", "parent"), ("amber", "job")]),
]
LAST = 2  # rounds at the end of an experiment in which nothing is hit


class Kills:
    """Hits a study until it is over.

    Args:
      study: to be hit.
      times: how often, at most.
    """

    def __init__(self, study: Study, times: int):
        self.study, self.times, self.rng = study, times, random.Random(0)
        self.command, self.done = study.command(), []

    def run(self) -> list[dict]:
        """What happened at every hit."""
        within, between = itertools.cycle(WITHIN), itertools.cycle(BETWEEN)
        study = self.study
        study.approve()
        for number, path in enumerate(study.experiments()):
            wait_for((path / "job/app/config/config_fed_server.json").is_file, seconds=900)
            there = study.at_server(path)
            wait_for(lambda: status(there).get("round", 0) >= 1, seconds=900)  # noqa: B023
            while len(self.done) < self.times:
                hit = next(within)
                if not self._strike(hit, there):
                    break
            wait_for((path / "results.json").is_file, seconds=900)
            if number + 1 < len(study.experiments()) and len(self.done) < self.times:
                self._note(next(between), path, before=study.rounds, rounds=[study.rounds])
        wait_for(lambda: self.command.poll() is not None, seconds=900)
        return self.done

    def _strike(self, hit: Hit, path: Path) -> bool:
        """Waits for the moment, kills, waits for the next round; False when the end is near."""
        _, doing, _ = hit

        def moment():
            told = status(path)
            near = told.get("round", 0) >= self.study.rounds - LAST
            return "over" if near else told.get("doing") == doing and "now"

        if wait_for(moment, seconds=900, every=0.002) == "over":
            return False
        time.sleep(self.rng.uniform(0, 0.5 if doing == "update" else 0.02))
        before, rounds = status(path).get("round", 0), []

        def on():
            rounds.append(status(path).get("round", before))
            return rounds[-1] > before + (doing == "saving") or (path / "results.json").is_file()

        self._kill(hit)
        began = time.monotonic()
        wait_for(on, seconds=900)
        self._record(hit, path, before, rounds, time.monotonic() - began)
        return True

    def _note(self, hit: Hit, path: Path, *, before: int, rounds: list[int]) -> None:
        self._kill(hit)
        self._record(hit, path, before, rounds, 0.0)

    def _kill(self, hit: Hit) -> None:
        for kit, kind in hit[2]:
            if (kit, kind) == COMMAND:
                self.command.kill()
                self.command.wait()
                self.command = self.study.command()
            else:
                self.study.made.kill(kit, kind)

    def _record(self, hit: Hit, path: Path, before: int, rounds: list[int], s: float) -> None:
        lost = min(rounds) < before
        told = {"kind": hit[0], "experiment": f"{path.parent.name}/{path.name}"}
        told |= {"round": before, "round_lost": lost, "seconds": round(s, 1)}
        self.done.append(told)
        print(json.dumps(told), flush=True)
        with (self.study.folder / "kills.jsonl").open("a") as file:
            file.write(json.dumps(told) + "\n")


def kill(
    folder: Path, times: int, *, seeds: int = 1, rounds: int = 10, elsewhere: bool = False
) -> tuple[list[dict], list]:
    """(what happened, what differs from the simulated grid) of a study that is hit so often, with
    its command at the server or elsewhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study = Study(folder, seeds=seeds, rounds=rounds, elsewhere=elsewhere)
    study.made.start()
    kills = Kills(study, times)
    try:
        done = kills.run()
    finally:
        kills.command.kill()
        study.made.stop()
    return done, study.differences()


def main(argv: list[str]) -> None:
    """Runs the kills and says what came of them."""
    del argv
    folder = Path(FOLDER.value).absolute()
    done, differ = kill(folder, TIMES.value, elsewhere=ELSEWHERE.value)
    lost = sum(hit["round_lost"] for hit in done)
    print(f"{len(done)} kills, {lost} rounds lost; differs from the simulated grid: {differ}")
    if lost or differ:
        raise subprocess.SubprocessError("A round was lost, or bits differ.")


if __name__ == "__main__":
    FOLDER = flags.DEFINE_string("folder", None, "Work folder.", required=True)
    TIMES = flags.DEFINE_integer("times", 20, "How often, at most.")
    ELSEWHERE = flags.DEFINE_bool("elsewhere", False, "Whether the command is not at the server.")
    app.run(main)
