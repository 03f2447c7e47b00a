"""Of whom a site has told sums of voxels, over all jobs, in a file that stays at the site.

Two sums over nearly the same people differ by the images of a few. So a site tells of the same
people again, or of people of whom enough are others.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from fedbrain.data.small_counts import FEWEST
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.site_file import Policy
from fedbrain.experiments.workdir import write_json


class ToldPeople:
    """Groups of people whose sums were told.

    Args:
      path: of the file.
      fewest: people by whom two groups must differ.
    """

    def __init__(self, path: Path, fewest: int):
        self.path, self.fewest = path, fewest

    def _read(self) -> list[list[str]]:
        if not self.path.is_file():
            return []
        try:
            return list(json.loads(self.path.read_text(encoding="utf-8"))["groups"])
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{self.path}: expected the people whose sums of voxels were told, got a damaged"
                " file. Restore it from your backup; without it nobody knows what two sums give."
            ) from None

    def require(self, people: Iterable[str]) -> None:
        """Refuses a group that differs by few people from one before.

        Args:
          people: subjects of the training scans.

        Raises:
          Refused: for such a group.
          ValueError: when the file is damaged.
        """
        new = set(people)
        for before in map(set, self._read()):
            differ = len(new ^ before)
            if 0 < differ < self.fewest:
                raise Refused(
                    "config.harmonise: expected the training people of an earlier job, or at least"
                    f" {self.fewest} others, got a difference of {differ}: the two sums of voxels"
                    " would tell of these few. Take the same config.splits"
                )

    def add(self, people: Iterable[str]) -> None:
        """Records a group, before its sums are told; the same one again changes nothing.

        Args:
          people: subjects of the training scans.
        """
        self.require(people)
        group, groups = sorted(set(people)), self._read()
        if group not in groups:
            write_json(self.path, {"groups": [*groups, group]})


def people_told(policy: Policy, workdir: Path) -> ToldPeople:
    """Of all jobs of a site.

    Args:
      policy: of the site.
      workdir: of this site and run.
    """
    fewest = max(FEWEST, policy.minimum_class_subjects)
    return ToldPeople(workdir.parent / "voxel_sums.json", fewest)
