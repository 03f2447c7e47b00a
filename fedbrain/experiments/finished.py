"""A finished experiment, read from its work directory."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain.analysis.groups_table import render_results
from fedbrain.experiments.predict_images import predict_one
from fedbrain.experiments.stored_json import damaged, read_stored
from fedbrain.experiments.trained_models import of_workdirs


class Result(NamedTuple):
    """What an experiment gave. Reading it changes no file."""

    workdir: Path  # of the experiment
    metrics: dict[str, Any]  # what `results.json` holds

    @property
    def table(self) -> str:
        """The table of the results, as the command prints it."""
        return render_results(self.metrics)

    @property
    def figures(self) -> list[Path]:
        """The figures, PNG files: predictions of each regime, losses of each federation."""
        return sorted(self.workdir.glob("**/*.png"))

    def predict(
        self,
        image: str | Path,
        *,
        federation: str = "federated",
        client: str = "",
        **covariates: Any,
    ) -> float | dict[str, float]:
        """The prediction for a NIfTI file, in the unit of the target (`metrics["unit"]`), or the
        probability of each class.

        Args:
          image: path of the file.
          federation: federated, centralised or local-<client>.
          client: whose private leaves to use, where every client keeps some.
          covariates: of the person, where the model needs some, such as `age=63`.

        Raises:
          ValueError: naming the file or the covariate.
        """
        trained = of_workdirs([self.workdir], federation=federation, client=client)
        return predict_one(trained, Path(image).expanduser(), covariates)

    def report(self, path: str | Path | None = None) -> Path:
        """Writes one page of HTML: tables, figures, warnings, how it was made.

        Args:
          path: of the file, FILE.html; by default `report.html` in the work directory.

        Returns:
          Where it is.

        Raises:
          ValueError: naming the file.
        """
        from fedbrain.experiments.report import write_report  # which reads a `Result`

        return write_report(self.workdir, Path(path).expanduser() if path else None)

    def __str__(self) -> str:
        return self.table


def not_defined_as_nan(value: Any) -> Any:
    """The inverse of what JSON did to NaN: null becomes NaN again.

    Args:
      value: nested mappings, lists and numbers.

    >>> not_defined_as_nan({"r": None, "mae": 7.1})
    {'r': nan, 'mae': 7.1}
    """
    if isinstance(value, Mapping):
        return {key: not_defined_as_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [not_defined_as_nan(entry) for entry in value]
    return math.nan if value is None else value


def load(workdir: str | Path) -> Result:
    """Reads a finished experiment.

    Args:
      workdir: of the experiment.

    Raises:
      ValueError: when there is no finished experiment.
    """
    folder = Path(workdir).expanduser()
    path = folder / "results.json"
    if not path.is_file():
        raise ValueError(
            f"{folder}: expected the work directory of a finished experiment, got no results.json"
            " there. Run the experiment to its end."
        )
    metrics = read_stored(path, "the results of an experiment")
    missing = [name for name in ("unit", "synthetic", "variables_sha256") if name not in metrics]
    if missing:
        raise damaged(path, "the results of an experiment", f"a file without {missing[0]!r}")
    return Result(folder, not_defined_as_nan(metrics))


def read_comparison(workdir: Path) -> dict[str, Any]:
    """What a finished study or sweep has in `comparison.json`.

    Args:
      workdir: of the study or the sweep.

    Raises:
      ValueError: when there is none.
    """
    path = workdir / "comparison.json"
    if not path.is_file():
        raise ValueError(
            f"{workdir}: expected a finished study, or a sweep, got no comparison.json there. Run"
            " fedbrain compare, or fedbrain sweep, with the same words: it goes on with what is"
            " left."
        )
    return not_defined_as_nan(read_stored(path, "the comparison of a study or a sweep"))
