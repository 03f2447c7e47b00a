"""Writes the images and the table of IXI as a BIDS tree for each of its three hospitals."""

import gzip
import json
import os
import shutil
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fedbrain import progress
from fedbrain.data.tables import write_table
from fedbrain.data.whole_file import write_whole
from fedbrain.public.ixi import HOSPITALS, UNKNOWN, Image, Person, first_of_each, read_people
from fedbrain.public.spreadsheet import read_rows

MAKER = "fedbrain organise"
DESCRIPTION = {
    "BIDSVersion": "1.10.0",
    "DatasetType": "raw",
    "License": "CC BY-SA 3.0",
    "SourceDatasets": [{"URL": "https://brain-development.org/ixi-dataset"}],
    "GeneratedBy": [{"Name": MAKER}],
}
COLUMNS = {
    "age": {"Description": "age at the scan", "Units": "years"},
    "sex": {"Levels": {"M": "male", "F": "female"}},
    "height_cm": {"Units": "cm"},
    "weight_kg": {"Units": "kg"},
}
Put = Callable[[str, Path], None]  # a file of the source, to a path


@contextmanager
def opened(source: Path) -> Iterator[tuple[list[str], Put]]:
    """Names of the files in an archive or a folder, and what brings one of them to a path.

    Files of a folder become links; those of an archive are unpacked.

    Args:
      source: a .tar file, or the folder in which it was unpacked.

    Raises:
      ValueError: naming what is neither.
    """
    if source.is_dir():
        files = {path.relative_to(source).as_posix(): path for path in source.rglob("IXI*.nii*")}
        yield sorted(files), lambda name, to: to.symlink_to(files[name].resolve())
        return
    damaged = f"{source}: expected a folder or an archive of IXI, got neither, or one that is cut"
    if not source.is_file():
        raise ValueError(f"{source}: expected a folder or an archive of IXI, got nothing there.")
    try:
        with tarfile.open(source) as archive:
            names = [member.name for member in archive if member.isfile()]
            yield names, lambda name, to: _unpack(archive, name, to)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        told = str(error).partition("\n")[0].rstrip(":")
        raise ValueError(f"{damaged}: {told}.") from None


def _unpack(archive: tarfile.TarFile, name: str, to: Path) -> None:
    """Writes a member whole or not at all."""
    content = archive.extractfile(name)
    assert content is not None  # the name is of a file
    part = to.with_name(f".{to.name}.part")
    try:
        with content, part.open("wb") as file:
            shutil.copyfileobj(content, file)
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)


def run(sources: list[Path], table: Path, output: Path) -> None:
    """Writes `output`/guys, `output`/hh and `output`/iop, and prints what there is to know.

    What is there already is kept, so that the same command goes on and adds further archives.

    Args:
      sources: archives or folders of images.
      table: IXI.xls.
      output: folder of the trees.

    Raises:
      ValueError: naming the file that cannot be used.
    """
    people, notes = read_people(read_rows(table), table)
    for hospital in HOSPITALS:
        require_ours(output / hospital)
    unused: dict[str, str] = {}
    taken: dict[tuple[str, str, str], str] = {}
    for source in sources:
        with opened(source) as (names, put):
            files = list(first_of_each(names, taken))
            for hospital in {image.hospital for _, image in files if isinstance(image, Image)}:
                _begin(output / hospital)
            for name, image in progress.each(files, source.name, unit="file"):
                if isinstance(image, str):
                    unused[name] = image
                else:
                    _place(name, image, output / image.hospital, put)
    trees = [output / hospital for hospital in HOSPITALS if (output / hospital).is_dir()]
    if not trees:
        raise ValueError(f"{', '.join(map(str, sources))}: expected images of IXI, got none.")
    for tree in trees:
        print(_finish(tree, people))
    print(*_told(people, notes, unused, trees), sep="\n")


def require_ours(tree: Path) -> None:
    """Refuses a folder that something else wrote: its tables would be lost.

    Args:
      tree: perhaps not there yet.

    Raises:
      ValueError: naming the folder.
    """
    path = tree / "dataset_description.json"
    ours = path.is_file() and f'"{MAKER}"' in path.read_text(encoding="utf-8", errors="replace")
    if os.path.lexists(tree) and not ours and (not tree.is_dir() or any(tree.iterdir())):
        raise ValueError(
            f"{tree}: expected a new folder, or a tree of {MAKER}, got something else. Choose"
            " another --output."
        )


def _begin(tree: Path) -> None:
    """The file that says whose tree it is comes first."""
    tree.mkdir(parents=True, exist_ok=True)
    description = {"Name": f"IXI, {tree.name}", **DESCRIPTION}
    write_whole(tree / "dataset_description.json", json.dumps(description, indent=2) + "\n")


def _place(name: str, image: Image, tree: Path, put: Put) -> None:
    folder = tree / image.subject / "anat"
    path = folder / f"{image.subject}_{image.suffix}{image.extension}"
    if not os.path.lexists(path):
        folder.mkdir(parents=True, exist_ok=True)
        put(name, path)


def _finish(tree: Path, people: Mapping[str, Person]) -> str:
    """Writes the table of those who have an image; returns a line on the tree."""
    subjects = sorted(path.name for path in tree.glob("sub-*"))
    rows = [(subject, *people.get(subject, UNKNOWN)) for subject in subjects]
    write_table(tree / "participants.tsv", ["participant_id", *Person._fields], rows)
    write_whole(tree / "participants.json", json.dumps(COLUMNS, indent=2) + "\n")
    images = Counter(p.name.split("_")[-1].partition(".")[0] for p in tree.glob("sub-*/anat/*"))
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(images.items()))
    ages = sum(row[1] != "n/a" for row in rows)
    return f"{tree}: {len(subjects)} people, {ages} with an age; {kinds}"


def _told(
    people: Mapping[str, Person], notes: list[str], unused: Mapping[str, str], trees: list[Path]
) -> Iterator[str]:
    """What a person should know before the trees are used, a line each."""
    present = {path.name for tree in trees for path in tree.glob("sub-*")}
    for note in notes:
        if note.partition(":")[0] in present or note.startswith("row "):
            yield f"  {note}"
    for subject in sorted(present - people.keys()):
        yield f"  {subject}: in no row of the table: no age, no sex."
    for name, reason in unused.items():
        yield f"  {name}: left out: {reason}."
    absent = len(people.keys() - present)
    yield f"{len(people)} people in the table, {absent} of them without an image here."
