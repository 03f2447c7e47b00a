"""The table of commands, `fedbrain NAME`: a row and a module that is an entry point are enough."""

import sys
from typing import NamedTuple


class Command(NamedTuple):
    """A row."""

    module: str  # that runs; `python -m MODULE` does the same
    does: str  # half a line


COMMANDS = {
    "check": Command("fedbrain.check", "an experiment before it is run: data, warnings, costs"),
    "organise": Command(
        "fedbrain.organise", "the download of a public data set as BIDS trees, one a hospital"
    ),
    "prepare": Command(
        "fedbrain.prepare", "raw scans to brains in MNI space, as a BIDS derivative"
    ),
    "harmonise": Command(
        "fedbrain.harmonise", "tables of features without the effects of sites (ComBat)"
    ),
    "harmonise-apart": Command(
        "fedbrain.harmonise_apart", "the same between hospitals, by files of sums"
    ),
    "plan": Command("fedbrain.plan", "whether a training step fits a GPU or TPU, without one"),
    "train": Command("fedbrain.main", "an experiment: trains, evaluates, prints the table"),
    "predict": Command("fedbrain.predict", "applies trained models to new scans"),
    "grid": Command("fedbrain.grid", "a first experiment, and those that start from it"),
    "tables": Command("fedbrain.tables", "the tables of a grid or a sweep, finished or not"),
    "report": Command("fedbrain.report", "one page of HTML about an experiment, a grid or a study"),
    "sample-size": Command(
        "fedbrain.sample_size", "people that a comparison needs, from the spread in an experiment"
    ),
    "compare": Command("fedbrain.compare", "a study: algorithms, with and without attackers"),
    "sweep": Command("fedbrain.sweep", "methods on experiments, each tuned and tested once"),
    "ranks": Command("fedbrain.ranks", "average ranks of methods over several studies"),
    "contribute": Command("fedbrain.contribute", "what each client of a study contributes"),
    "saliency": Command("fedbrain.saliency", "maps of where a model looks"),
    "export": Command("fedbrain.export", "a trained model as a .safetensors file"),
    "membership": Command("fedbrain.membership", "attacks differential privacy: one page"),
    "synthesise": Command("fedbrain.synthesise", "three synthetic hospitals as BIDS trees"),
    "server": Command("fedbrain.deploy.server", "between hospitals: the coordinating centre"),
    "hospital-grid": Command(
        "fedbrain.deploy.hospital_grid", "between hospitals: a grid, from brain age to SDMT"
    ),
    "site": Command("fedbrain.deploy.site", "between hospitals: a hospital"),
    "provision": Command("fedbrain.deploy.provision", "between hospitals: keys and certificates"),
    "submit": Command("fedbrain.deploy.submit", "between hospitals: a job as a folder of files"),
    "what-leaves": Command("fedbrain.deploy.what_leaves", "the page of all that leaves a hospital"),
}


def current_command() -> str:
    """What the program that runs is called: `fedbrain train`, `python -m benchmarks.saliency`."""
    module = getattr(sys.modules["__main__"].__spec__, "name", "PROGRAM").removesuffix(".__main__")
    names = [name for name, command in COMMANDS.items() if command.module == module]
    return f"fedbrain {names[0]}" if names else f"python -m {module}"
