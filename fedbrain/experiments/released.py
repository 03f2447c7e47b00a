"""A model of a file, read: it predicts single images, and says its error and for whom it holds."""

from pathlib import Path
from typing import Any, NamedTuple

from fedbrain.experiments.finished import Result
from fedbrain.experiments.finished import load as load_finished
from fedbrain.experiments.predict_images import predict_one
from fedbrain.experiments.release import read_release
from fedbrain.experiments.shipped import SHIPPED, Shipped, locate_model, record_of, require_brains
from fedbrain.experiments.trained_models import Trained


class Released(NamedTuple):
    """A model that comes with fedbrain, or a file of `fedbrain export --all`."""

    path: Path  # of the file
    trained: Trained  # its models, and what is known of them
    row: Shipped | None  # how its scans are prepared; None: of others, who know it

    @property
    def errors(self) -> list[str]:
        """How far it was off for test people, and for whom it holds: a line each."""
        return self.trained.errors

    def predict(self, image: str | Path, **covariates: Any) -> float | dict[str, float]:
        """The prediction for a NIfTI file, in the unit of the target, or the probability of each
        class.

        Args:
          image: path of the file, prepared as the model reads it.
          covariates: of the person, where the model needs some, such as `age=63`.

        Raises:
          ValueError: naming the file or the covariate; also for brains that were found in another
            way than those that the model was trained on.
        """
        path = Path(image).expanduser()
        if self.row:
            require_brains([record_of(path)], self.row)
        return predict_one(self.trained, path, covariates)

    def __str__(self) -> str:
        return "\n".join(self.errors)


def load(source: str | Path) -> Result | Released:
    """Reads a finished experiment, or a model of a file.

    Args:
      source: work directory of the experiment; a model that comes with fedbrain, by name
        (`"brain_age_ixi"`); or a file of `fedbrain export --all`.

    Raises:
      ValueError: when there is none of these, or it is damaged.
    """
    path = Path(source).expanduser()
    if str(source) in SHIPPED or path.is_file():
        file, row = locate_model(str(source))
        return Released(file, read_release(file), row)
    if not path.exists():
        raise ValueError(
            f"{source}: expected the work directory of a finished experiment, a file of `fedbrain"
            f" export --all`, or a model that comes with fedbrain ({', '.join(SHIPPED)}), got"
            " nothing of that name."
        )
    return load_finished(path)
