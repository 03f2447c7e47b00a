"""Trees, images and work directories with one fault each, as people have them."""

import gzip
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np

from tests.newcomer.trees import head, people, save, table

NUMBER = 12  # people of a tree
AGES = [(name, person.age_years) for name, person in people(NUMBER, seed=4).items()]
HEADER = ("participant_id", "age")


def write_images(root: Path) -> Path:
    """A tree without tables."""
    for seed, (name, person) in enumerate(people(NUMBER, seed=4).items()):
        image = head(person, 12, seed=300 + seed, skull=False)
        save(image, root / name / "anat" / f"{name}_T1w.nii.gz")
    return root


def write_tables(folder: Path) -> None:
    """Trees whose images are good, and whose participants.tsv is not."""
    first = write_images(folder / "no_tables")
    for name in ("utf16", "no_id", "twice", "words", "good", "two_people", "more"):
        shutil.copytree(first, folder / name)
    text = "".join("\t".join(map(str, row)) + "\n" for row in [HEADER, *AGES])
    (folder / "utf16" / "participants.tsv").write_text(text, encoding="utf-16")
    table(folder / "no_id" / "participants.tsv", ("subject", "age"), *AGES)
    older = [(name, age + 5) for name, age in AGES]
    table(folder / "twice" / "participants.tsv", HEADER, *AGES, *older)
    table(folder / "words" / "participants.tsv", HEADER, *((name, "old") for name, _ in AGES))
    table(folder / "good" / "participants.tsv", HEADER, *AGES)
    table(folder / "more" / "participants.tsv", HEADER, *((n, a + 0.5) for n, a in AGES))
    table(folder / "two_people" / "participants.tsv", HEADER, *AGES[:2])
    shutil.copytree(folder / "good", folder / "folder" / "deeper")
    (folder / "empty").mkdir()
    (folder / "note.txt").write_text("This is not a folder.\n")


def write_image_files(folder: Path) -> None:
    """Files that are not a T1-weighted image, by what is wrong with them."""
    folder.mkdir(parents=True)
    good = write_image(folder / "good.nii.gz", np.zeros((16, 16, 16)))
    data = gzip.decompress(good.read_bytes())
    (folder / "cut.nii.gz").write_bytes(good.read_bytes()[:-200])
    (folder / "damaged.nii.gz").write_bytes(b"\x1f\x8b" + bytes(range(200)))
    (folder / "empty.nii.gz").write_bytes(b"")
    (folder / "page.nii.gz").write_text("<!DOCTYPE html><html>Please log in</html>")
    (folder / "huge.nii").write_bytes(data[:42] + b"\x30\x75" * 3 + data[48:])  # 30000^3
    write_image(folder / "film.nii.gz", np.zeros((16, 16, 16, 20)))
    write_image(folder / "nan.nii.gz", np.full((16, 16, 16), np.nan))


def write_masks(root: Path) -> None:
    """Masks in derivatives/rough of other voxels than the images."""
    block = np.pad(np.ones((5, 5, 5), np.uint8), 1)
    for name in people(NUMBER, seed=1):
        path = root / "derivatives" / "rough" / name / "anat" / f"{name}_mask.nii.gz"
        save(nib.Nifti1Image(block, np.diag([30.0, 30, 30, 1])), path)


def write_image(path: Path, background: np.ndarray) -> Path:
    """A noisy ball upon a background."""
    axis = np.linspace(-1, 1, 16)
    ball = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis)), axis=0) < 0.8
    noise = np.random.default_rng(0).uniform(80, 120, ball.shape) * ball
    image = background + noise.reshape(*ball.shape, *[1] * (background.ndim - 3))
    save(nib.Nifti1Image(image.astype(np.float32), np.diag([12.0, 12, 12, 1])), path)
    return path


def write_workdirs(folder: Path, finished: Path) -> None:
    """Work directories that cannot be used, from a finished one."""
    for name in ("cut", "unfinished"):
        shutil.copytree(finished, folder / name)
    config = folder / "cut" / "config.json"
    config.write_text(config.read_text()[:200])
    (folder / "unfinished" / "results.json").unlink()
    for path in (folder / "unfinished" / "runs").glob("*/*"):
        shutil.rmtree(path)
    (folder / "nothing").mkdir()


def write_all(folder: Path) -> None:
    """All of it, beside the trees and the finished run of the journey."""
    write_tables(folder / "broken")
    write_image_files(folder / "images")
    write_workdirs(folder / "runs", folder / "runs" / "age")
    shutil.copytree(folder / "data" / "lyon", folder / "data" / "masked")
    write_masks(folder / "data" / "masked")
