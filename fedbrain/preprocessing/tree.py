"""All scans of a BIDS tree, on all cores. A run that was interrupted goes on where it was."""

import os
import tempfile
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain import progress
from fedbrain.data.bids import Scan, find_scans, list_images
from fedbrain.data.choice import one_per_session, select
from fedbrain.data.masks import Masks
from fedbrain.data.memory import SHARE, Memory, free_bytes, needed_bytes
from fedbrain.data.nifti_file import ImageError, require_file, sentence
from fedbrain.data.prepare import content_sample
from fedbrain.data.recipes import Recipe as MaskRecipe
from fedbrain.data.scratch import remove_left_behind, remove_unfinished
from fedbrain.preprocessing import derivative, picture
from fedbrain.preprocessing.niimath import ScratchError
from fedbrain.preprocessing.recipe import Recipe, record
from fedbrain.preprocessing.session import prepare_session

COPIES = 4  # of a scan: raw, without bias field, what a program reads and what it writes
IRRELEVANT = ("Software",)  # of a record: another version of fedbrain may make the same images


class Outcome(NamedTuple):
    """What became of one session."""

    scan: Scan
    state: str  # made, kept or failed
    record: dict[str, Any]  # empty when it failed
    reason: str  # a sentence when it failed


class Tree(NamedTuple):
    """What is prepared, and what is not."""

    sessions: list[Scan]  # one T1w a session
    others: list[Scan]  # of the same sessions, not chosen
    left_out: dict[Scan, str]  # -> reason
    unread: list[Scan]  # in a format that is not read


def find_sessions(root: Path, pattern: str, include: tuple[str, ...]) -> Tree:
    """The T1w images of a tree, one a session.

    Args:
      root: of the tree.
      pattern: suffix, or entities and suffix, of the T1w.
      include: subjects and sessions; empty: all.

    Raises:
      ValueError: when there is none.
    """
    listing = list_images(root, pattern)
    wanted, left_out = select(listing.scans, include, ())
    chosen, others = one_per_session(wanted)
    if not chosen:
        raise ValueError(f"{root}: expected {pattern} images, got none that can be read.")
    return Tree(chosen, others, left_out, listing.unread)


def prepare_tree(
    root: Path, output: Path, tree: Tree, recipe: Recipe, *, jobs: int
) -> Iterator[Outcome]:
    """Yields the outcome of every session, in order; writes nothing for those already there.

    Args:
      root: of the BIDS tree.
      output: folder of the derivative.
      tree: of `find_sessions`.
      recipe: see `Recipe`.
      jobs: sessions at the same time.

    Raises:
      OSError: when the output cannot be written.
      ScratchError: when files on the way cannot be written.
    """
    masks = Masks(root, MaskRecipe(mask=recipe.brain if "/" in recipe.brain else "nonzero"))
    followers = {name: _by_session(root, name) for name in recipe.modalities}
    remove_left_behind(Path(tempfile.gettempdir()))
    remove_unfinished(output)
    derivative.write_description(output)
    one = partial(_attempt, output, recipe, masks, followers, Memory(int(SHARE * free_bytes())))
    with ThreadPoolExecutor(jobs) as pool:
        try:
            done = pool.map(one, tree.sessions)
            yield from progress.each(done, "prepare", len(tree.sessions), unit="scan")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def earlier(
    root: Path, output: Path, pattern: str, sessions: Collection[Scan], recipe: Recipe
) -> list[Outcome]:
    """What earlier runs made of the other sessions of a tree.

    Args:
      root: of the BIDS tree.
      output: folder of the derivative.
      pattern: suffix, or entities and suffix, of the T1w.
      sessions: of this run.
      recipe: see `Recipe`.
    """
    others = [s for s in find_sessions(root, pattern, ()).sessions if s not in sessions]
    records = {scan: derivative.read_record(output, scan, recipe) for scan in others}
    return [Outcome(scan, "kept", record, "") for scan, record in records.items() if record]


def _attempt(
    output: Path,
    recipe: Recipe,
    masks: Masks,
    followers: dict[str, dict[str, Path]],
    memory: Memory,
    scan: Scan,
) -> Outcome:
    others = {name: of[scan.id] for name, of in followers.items() if scan.id in of}
    try:
        mask = masks.of(scan) if "/" in recipe.brain else None
        sources = [scan.path, *others.values(), *([mask] if mask else [])]
        fields = _fields(recipe, sources)
        there = derivative.read_record(output, scan, recipe)
        if there is not None and _same(there, fields):
            return Outcome(scan, "kept", there, "")
        with memory.hold(scan.path, COPIES * needed_bytes(sources)):
            prepared = prepare_session(scan.path, recipe, mask=mask, others=others)
    except ScratchError:
        raise
    except ImageError as error:
        said = str(error)
        named = said if str(scan.path.parent) in said else f"{scan.path}: {said}."
        return Outcome(scan, "failed", {}, named)
    except OSError:
        raise  # of the disk that is written, not of the scan
    except Exception as error:  # an image can raise anything
        return Outcome(scan, "failed", {}, sentence(scan.path, error))
    picture.draw(
        derivative.figure_path(output, scan), prepared.head, prepared.brain, prepared.images["T1w"]
    )
    written = derivative.write_session(output, scan, recipe, prepared, fields)
    return Outcome(scan, "made", written, "")


def _fields(recipe: Recipe, sources: list[Path]) -> dict[str, Any]:
    """Everything that the images of a session depend on."""
    digests = {}
    for path in sources:
        require_file(path)
        try:
            digests[path.name] = content_sample(path)
        except OSError as error:
            raise ImageError(sentence(path, error)) from None
    return {"Sources": digests, "Preparation": record(recipe)}


def _same(there: dict[str, Any], fields: dict[str, Any]) -> bool:
    def relevant(of: dict[str, Any]) -> Any:
        made = {k: v for k, v in of.get("Preparation", {}).items() if k not in IRRELEVANT}
        return of.get("Sources"), made

    return relevant(there) == relevant(fields)


def _by_session(root: Path, suffix: str) -> dict[str, Path]:
    chosen, _ = one_per_session(find_scans(root, suffix))
    return {scan.id: scan.path for scan in chosen}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
