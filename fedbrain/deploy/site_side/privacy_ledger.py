"""How much a site has told of its people, over all experiments, in a file that outlives them.

An experiment under differential privacy has the rounds that were answered and the noise; they
compose (`fedbrain.analysis.gaussian_privacy`). Answers without noise are counted by themselves: no
epsilon applies to them.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fedbrain.algorithms.private import Mechanism
from fedbrain.analysis.gaussian_privacy import epsilon_of
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.experiments.private import Spent, composed
from fedbrain.experiments.workdir import write_json


class Ledger:
    """Of one site.

    Args:
      path: of the file.
      delta_dp: for which epsilon is told.
      epsilon_at_most: of all that is told together; None: any.

    Raises:
      ValueError: when the file is damaged.
    """

    def __init__(self, path: Path, *, delta_dp: float, epsilon_at_most: float | None = None):
        self.path, self.delta_dp, self.most = path, delta_dp, epsilon_at_most
        self._read()

    def charge(
        self, experiment: str, part: str, round: int, *, privacy: Mechanism | None, scans: int
    ) -> None:
        """Records an answer, before it is computed. The same answer again costs nothing.

        Args:
          experiment: its name, another one for every secret of the noise.
          part: "train" or "valid": whose sum is told.
          round: that the question names.
          privacy: of the experiment; None: nothing hides the sum.
          scans: most scans of one person in a part.

        Raises:
          Refused: when it would take epsilon above the site's limit; nothing is recorded then.
        """
        noise = None if privacy is None else privacy.noise_multiplier
        with self._alone():
            told = self._read()
            entry = told.setdefault(experiment, {"train": [], "valid": []})
            entry |= {"scans_of_one": scans, "noise_multiplier": noise}
            if round not in entry[part]:
                entry[part].append(round)
                self._require(told)
                write_json(self.path, told)

    def require_room(
        self, experiment: str, *, rounds: int, privacy: Mechanism | None, scans: int
    ) -> None:
        """Refuses an experiment that would end above the site's limit, before its first question.

        Args:
          experiment: its name.
          rounds: of the experiment.
          privacy: of the experiment.
          scans: most scans of one person in a part.

        Raises:
          Refused: with the limit and what it would come to.
        """
        noise = None if privacy is None else privacy.noise_multiplier
        whole = {"train": list(range(rounds)), "valid": list(range(rounds + 1))}
        self._require(
            {
                **self._read(),
                experiment: {**whole, "noise_multiplier": noise, "scans_of_one": scans},
            }
        )

    def epsilon(self, experiment: str | None = None) -> float:
        """Of all that was told under differential privacy, or of one experiment.

        Args:
          experiment: its name; None: all.
        """
        told = self._read()
        return self._epsilon(told if experiment is None else {experiment: told.get(experiment, {})})

    def unprotected(self) -> int:
        """Answers that were given without noise."""
        return sum(map(_answers, _without_noise(self._read())))

    def sentence(self) -> str:
        """What was told, for a person at the site."""
        told = self._read()
        if not told:
            return "Privacy: nothing was told yet."
        limit = "" if self.most is None else f" of at most {self.most:g}"
        private = len(told) - len(_without_noise(told))
        parts = [
            f"epsilon {self._epsilon(told):.2f}{limit} for delta {self.delta_dp:g}, over {private}"
            " experiments under differential privacy"
        ]
        if count := self.unprotected():
            parts.append(f"{count} answers without it, to which no epsilon applies")
        return f"Privacy of training and validation people: {'; '.join(parts)}."

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Jobs of a site are processes of their own, with one ledger."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _require(self, told: dict[str, Any]) -> None:
        if self.most is None:
            return
        without = sum(map(_answers, _without_noise(told)))
        if without:
            raise Refused(
                f"config.client.privacy: expected differential privacy of at most epsilon"
                f" {self.most:g} in all experiments of this site, got {without} answers without it"
            )
        epsilon = self._epsilon(told)
        if epsilon > self.most:
            raise Refused(
                f"config.client.privacy: expected at most epsilon {self.most:g} for delta"
                f" {self.delta_dp:g} over all experiments of this site, got {epsilon:.3g}: take"
                " more noise or fewer rounds"
            )

    def _epsilon(self, told: dict[str, Any]) -> float:
        spent = [_spent(entry) for entry in told.values() if entry.get("noise_multiplier")]
        return epsilon_of(composed(spent), self.delta_dp)

    def _read(self) -> dict[str, Any]:
        if not self.path.is_file():
            return {}
        try:
            told = json.loads(self.path.read_text(encoding="utf-8"))
            _ = [_spent(entry) for entry in told.values() if entry["noise_multiplier"]]
        except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
            raise ValueError(
                f"{self.path}: expected what this site told of its people, got a damaged file."
                " Restore it from your backup."
            ) from None
        return told


def _spent(entry: dict[str, Any]) -> Spent:
    sums, scans = max(len(entry["train"]), len(entry["valid"])), entry["scans_of_one"]
    return Spent(sums, scans, sums**0.5 * scans / entry["noise_multiplier"])


def _without_noise(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in told.values() if not entry["noise_multiplier"]]


def _answers(entry: dict[str, Any]) -> int:
    return len(entry["train"]) + len(entry["valid"])
