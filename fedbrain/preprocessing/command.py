"""The work of `fedbrain prepare`: checks, all scans, quality, and what to do next."""

from collections.abc import Sequence
from pathlib import Path

from fedbrain.preprocessing.quality_page import PAGE, write_quality
from fedbrain.preprocessing.recipe import Recipe
from fedbrain.preprocessing.tree import cores, earlier, find_sessions, prepare_tree


def run(
    root: Path,
    output: Path,
    recipe: Recipe,
    *,
    pattern: str,
    include: Sequence[str],
    jobs: int | None,
) -> None:
    """Prepares a tree and prints what came of it.

    Args:
      root: of the BIDS tree.
      output: folder of the derivative.
      recipe: see `Recipe`.
      pattern: suffix, or entities and suffix, of the T1w.
      include: subjects and sessions; empty: all.
      jobs: scans at the same time; None: one for each core.

    Raises:
      ValueError: when no scan could be prepared, after all were tried.
    """
    tree = find_sessions(root, pattern, tuple(include))
    print(f"{root}: {len(tree.sessions)} sessions with a {pattern} that is read")
    for scan in tree.others:
        print(f"  not prepared, another image of the session was chosen: {scan.path.name}")
    for scan in tree.unread:
        print(f"  not prepared, expected .nii or .nii.gz: {scan.path}")
    outcomes = list(prepare_tree(root, output, tree, recipe, jobs=jobs or cores()))
    for outcome in outcomes:
        if outcome.state == "failed":
            print(f"  failed: {outcome.reason}")
    shown = [*outcomes, *earlier(root, output, pattern, tree.sessions, recipe)]
    verdicts = write_quality(output, shown, title=f"Prepared scans of {root.resolve().name}")
    counts = {s: sum(o.state == s for o in outcomes) for s in ("made", "kept", "failed")}
    print(
        f"{output}: {counts['made']} prepared, {counts['kept']} already there, {counts['failed']}"
        f" failed; quality of all: {', '.join(f'{n} {verdict}' for verdict, n in verdicts.items())}"
    )
    if counts["failed"] == len(outcomes):
        raise ValueError(f"{root}: expected scans that can be prepared, got none; see above.")
    print(f"Look at {output / PAGE}, and decide in quality.tsv beside it.")
