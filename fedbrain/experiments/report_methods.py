"""A paragraph of methods with the numbers of this run, and a checklist for authors.

References:
  Collins et al. (2024), TRIPOD+AI, https://doi.org/10.1136/bmj-2023-078378
  Tejani et al. (2024), CLAIM 2024, https://doi.org/10.1148/ryai.240300
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fedbrain import __version__
from fedbrain.analysis.columns import columns_of
from fedbrain.analysis.html_page import Block, Section, Table
from fedbrain.experiments.public_text import hide

WRITE = "the authors"
# item of TRIPOD+AI -> (what it asks, where this page has it)
CHECKLIST = {
    "1": ("title: a prediction model, its population and outcome", WRITE),
    "2": ("structured abstract", WRITE),
    "3": ("context, target population, known inequalities", WRITE),
    "4": ("objectives: development, evaluation or both", WRITE),
    "5": ("data sources of development and evaluation, their dates", f"sites: here; why: {WRITE}"),
    "6": ("participants: setting, eligibility, treatments", WRITE),
    "7": ("data preparation and quality checks", "Methods; Who is missing"),
    "8": ("outcome, how it was assessed", f"unit and target: What was asked; rest: {WRITE}"),
    "9": ("predictors: which, how measured", "Methods: image preparation, covariates"),
    "10": ("sample size and its justification", f"counts: here; justification: {WRITE}"),
    "11": ("missing data", "Who is missing"),
    "12": ("analytical methods: partition, model, tuning, performance", "Methods; Results"),
    "13": ("class imbalance", f"counts: The data of the sites; handling: {WRITE}"),
    "14": ("fairness", f"errors of groups where report_by was set; rest: {WRITE}"),
    "15": ("output of the model", "Methods; What was asked"),
    "16": ("differences of development and evaluation data", "The data of the sites"),
    "17": ("ethical approval and consent", WRITE),
    "18": ("funding, conflicts, protocol, data and code", f"code: Cite; rest: {WRITE}"),
    "19": ("involvement of patients and the public", WRITE),
    "20": ("participants: flow and characteristics", "What was asked; The data of the sites"),
    "21": ("numbers in each analysis", "Results: n"),
    "22": ("the full model", "Cite and reproduce: digests; `fedbrain export` writes it"),
    "23": ("performance with intervals, in groups, across sites", "Results; Agreement"),
    "24": ("updating of the model", f"{WRITE}, if any"),
    "25": ("interpretation", WRITE),
    "26": ("limitations", f"Warnings; {WRITE}"),
    "27": ("usability, input of poor quality, next steps", WRITE),
}


def methods_section(results: Mapping[str, Any], config: Mapping[str, Any]) -> Section:
    """The paragraph and the checklist.

    Args:
      results: what `results.json` holds.
      config: as `config.json` has it; empty: it is not known.
    """
    rows = [["item", "asks for", "where"], *([k, *v] for k, v in CHECKLIST.items())]
    blocks: list[Block] = [
        "A draft from this folder, to be completed:",
        " ".join(_sentences(results, config)),
        (
            "Items of TRIPOD+AI, in short; the statement has their full text. CLAIM 2024 asks for"
            " the same facts of imaging studies."
        ),
        Table("What this page answers, and what the authors must write", rows, text=True),
    ]
    return Section("Methods, and a checklist", blocks)


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def _times(repeats: int) -> str:
    return "Once" if repeats == 1 else f"In each of {repeats} repeats"


def _sentences(results: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    if results["synthetic"]:
        yield "All data are SYNTHETIC."
    images = results.get("images") or {}
    if images:
        counts = ", ".join(f"{name} {count:,}" for name, count in images.items())
        yield f"{sum(images.values()):,} images of {len(images)} clients were used ({counts})."
    if config:
        yield from _asked(config)
    if "footprint" in results:
        f = results["footprint"]
        yield f"Of {f['parameters']:,} parameters {f['trained']:,} were trained."
    yield from _found(results)
    yield f"Software: fedbrain {__version__} and the versions below."


def _asked(config: Mapping[str, Any]) -> Iterator[str]:
    client, server, splits = config["client"], config["server"], config["splits"]
    yield (
        f"Images ({_listed(config['modalities'])}) were prepared by {hide(config['prepare'])} and"
        f" augmented in training by {config['augment']}."
    )
    if not config.get("harmonise", "none").startswith("none"):
        yield (
            "What each site adds to every voxel was taken away by ComBat, fitted on training scans"
            f" ({hide(config['harmonise'])})."
        )
    if config["covariates"]:
        yield f"Covariates: {_listed(config['covariates'])}."
    yield (
        f"The network {hide(config['model'])}, started from {hide(config['initial'])}, was trained"
        f" with the loss {hide(config['loss'])} in {config['rounds']} rounds of"
        f" {config['algorithm']}: clients took {_count(client['epochs'], 'epoch')} a round with"
        f" {client['optimizer']} and batches of {client['batch_size']}; the server combined their"
        f" updates by {server['aggregator']} and {server['optimizer']}."
    )
    stratified = f", stratified by {splits['stratify']}" if splits["stratify"] else ""
    yield (
        f"{_times(splits['repeats'])} people were split into test ({100 * splits['test']:.0f} %),"
        f" validation ({100 * splits['valid']:.0f} %) and training"
        f" parts{stratified}; the round with the least validation loss was kept (seed"
        f" {config['seed']})."
    )


def _found(results: Mapping[str, Any]) -> Iterator[str]:
    columns = columns_of(results)
    pooled = {name: r["pooled"] for name, r in (results.get("regimes") or {}).items()}
    for name, measured in pooled.items():
        yield f"On all test scans, {name}: {columns.sentence(measured, results['unit'])}."
