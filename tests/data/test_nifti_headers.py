"""Headers as scanners and converters write them: units, two affines, shear, impossible numbers."""

import bz2
import gzip
import lzma
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fedbrain.data.nifti import read_volume
from fedbrain.data.nifti_file import ImageError, read_outline
from tests.tiny import brain, save_volume


def write(path: Path, data=None, affine=None, *, edit=None, unit=None, sform=1, qform=0) -> Path:
    """A NIfTI file whose header is edited after writing, byte by byte."""
    image = nib.Nifti1Image(brain() if data is None else data, None)
    affine = np.diag([3.0, 3, 3, 1]) if affine is None else affine
    image.set_sform(affine, code=sform)
    image.set_qform(affine, code=qform)
    if unit:
        image.header.set_xyzt_units(unit)
    content = bytearray(image.to_bytes())
    if edit:
        header = nib.Nifti1Header(bytes(content[:348]), check=False)
        edit(header)
        content[:348] = header.binaryblock
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else bytes(content))
    return path


@pytest.mark.parametrize(("unit", "mm"), [("micron", 0.001), ("meter", 1000.0), ("mm", 1.0)])
@pytest.mark.parametrize("form", ["sform", "qform"])
def test_units_become_mm(tmp_path, unit, mm, form):
    affine = np.diag([3 / mm, 3 / mm, 3 / mm, 1])
    forms = {"sform": int(form == "sform"), "qform": int(form == "qform")}
    volume = read_volume(write(tmp_path / "a.nii", affine=affine, unit=unit, **forms))
    np.testing.assert_allclose(volume.voxel_size_mm, (3, 3, 3), rtol=1e-5)
    assert ("unit that is not mm" in volume.notes) == (unit != "mm")


@pytest.mark.parametrize(("unit", "edge"), [("meter", 3.0), ("micron", 3.0), ("mm", 3000.0)])
def test_a_unit_that_cannot_be_is_refused_by_name(tmp_path, unit, edge):
    path = write(tmp_path / "a.nii", affine=np.diag([edge, edge, edge, 1]), unit=unit)
    name = {"meter": "metre"}.get(unit, unit)
    with pytest.raises(ImageError, match=f"a.nii: expected voxels .* unit '{name}'"):
        read_volume(path)


def test_an_unknown_unit_is_mm(tmp_path):
    def edit(header):
        header["xyzt_units"] = 5

    assert read_volume(write(tmp_path / "a.nii", edit=edit)).voxel_size_mm == (3, 3, 3)


def _rotated(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


@pytest.mark.parametrize(
    ("other", "noted"),
    [(np.eye(4), False), (_rotated(10), True), (np.diag([1, 1, 1.2, 1]), True)],
)
def test_two_affines_that_disagree_are_noted_and_the_sform_is_used(tmp_path, other, noted):
    image = nib.Nifti1Image(brain(), None)
    image.set_sform(np.diag([3.0, 3, 3, 1]), code=1)
    image.set_qform(np.diag([3.0, 3, 3, 1]) @ other, code=1, update_affine=False)
    nib.save(image, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    assert volume.voxel_size_mm == (3, 3, 3)
    assert ("sform and qform disagree" in volume.notes) == noted


def test_a_tilted_gantry_is_straightened(tmp_path):
    """A ball under 20 degrees of tilt is a ball again, with the right voxel size and volume."""
    tilt = np.tan(np.radians(20))
    affine = np.array([[3, 0, 0, 0], [0, 3, 3 * tilt, 0], [0, 0, 3, 0], [0, 0, 0, 1.0]])
    index = np.stack(np.meshgrid(*[np.arange(32)] * 3, indexing="ij")).reshape(3, -1)
    mm = affine[:3, :3] @ index
    centre = affine[:3, :3] @ np.full((3, 1), 15.5)
    ball = (np.linalg.norm(mm - centre, axis=0) < 30).reshape(32, 32, 32)
    volume = read_volume(write(tmp_path / "a.nii", 100.0 * ball.astype(np.float32), affine))
    np.testing.assert_allclose(volume.voxel_size_mm, (3, 3, 3), rtol=1e-6)
    assert "20.0 degrees" in volume.notes["axes that are not at right angles"]
    assert np.sum(volume.data > 50) == pytest.approx(ball.sum(), rel=0.03)
    ends = [np.flatnonzero((volume.data > 50).any(tuple({0, 1, 2} - {a}))) for a in range(3)]
    assert [e[-1] - e[0] for e in ends] == pytest.approx([19] * 3, abs=1)
    found = volume.affine[:3, :3] @ [[e.mean()] for e in ends] + volume.affine[:3, 3:]
    np.testing.assert_allclose(found, centre, atol=1.5)


def test_oblique_axes_are_at_right_angles(tmp_path):
    volume = read_volume(write(tmp_path / "a.nii", affine=_rotated(20) @ np.diag([3.0, 3, 3, 1])))
    assert volume.data.shape == (16, 16, 16)
    assert not volume.notes


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_labels_are_never_averaged(tmp_path, kind):
    tilted = np.array([[3, 0, 0, 0], [0, 3, 1, 0], [0, 0, 3, 0], [0, 0, 0, 1.0]])
    path = write(tmp_path / "a.nii", (brain() > 0).astype(kind) * 7, tilted)
    assert set(np.unique(read_volume(path, labels=True).data)) == {0, 7}


def _set(field, value):
    def edit(header):
        header[field] = value

    return edit


def _shape(*shape):
    def edit(header):
        header["dim"][: len(shape) + 1] = [len(shape), *shape]

    return edit


def _no_size(header):
    header["pixdim"][1:4] = 0


IMPOSSIBLE = {
    "30000 cubed": (dict(edit=_shape(30000, 30000, 30000)), "damaged or cut short .*30000 x"),
    "one row too many": (dict(edit=_shape(16, 16, 17)), "damaged or cut short"),
    "negative axis": (dict(edit=_shape(16, -16, 16)), "expected axes of at least one voxel"),
    "nine axes": (dict(edit=_set("dim", [9, 16, 16, 16, 1, 1, 1, 1])), "1 to 7 axes, got 9"),
    "voxels in the header": (dict(edit=_set("vox_offset", 0)), "got them at byte 0"),
    "voxels nowhere": (dict(edit=_set("vox_offset", np.nan)), "got them at byte nan"),
    "voxels beyond the end": (dict(edit=_set("vox_offset", 1e9)), "damaged or cut short"),
    "unknown type": (dict(edit=_set("datatype", 9999)), "something else"),
    "no voxel size": (dict(edit=_no_size, sform=0, qform=1), "got pixdim 0"),
    "no voxel size, no affine": (dict(edit=_no_size, sform=0, qform=0), "got pixdim 0"),
}


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize(("arguments", "message"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_impossible_headers_are_refused(tmp_path, name, arguments, message):
    if name == "a.nii.gz" and message == "damaged or cut short":
        message = "damaged or cut short|expected one 3-D"
    with pytest.raises(ImageError, match=message) as caught:
        read_volume(write(tmp_path / name, **arguments))
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_header_of_a_large_image_is_refused_before_memory_is_asked_for(tmp_path, monkeypatch):
    path = write(tmp_path / "a.nii.gz", edit=_shape(2000, 2000, 2000))
    monkeypatch.setattr(nib.Nifti1Image, "from_bytes", None)
    with pytest.raises(ImageError, match="2000 x 2000 x 2000 voxels in 16000000352 bytes"):
        read_volume(path)


def test_an_sform_needs_no_voxel_size_beside_it(tmp_path):
    assert read_volume(write(tmp_path / "a.nii", edit=_no_size)).voxel_size_mm == (3, 3, 3)


def test_the_outline_of_a_file(tmp_path):
    outline = read_outline(save_volume(tmp_path / "a.nii.gz", brain()))
    assert outline.voxels == 16**3
    assert outline.needed_bytes == 352 + 2 * 16**3


def test_nan_around_the_brain_is_background(tmp_path):
    data = np.where(brain() > 0, brain(), np.nan).astype(np.float32)
    volume = read_volume(save_volume(tmp_path / "a.nii", data))
    assert "NaN as background" in volume.notes
    np.testing.assert_array_equal(volume.data, brain())


def test_a_closed_file_is_no_damaged_file(tmp_path, monkeypatch):
    path = save_volume(tmp_path / "a.nii.gz", brain())

    def refuse(self, *arguments):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match=r"a.nii.gz: no permission") as caught:
        read_volume(path)
    assert "damaged" not in str(caught.value)


def test_a_closed_folder_is_no_missing_file(tmp_path, monkeypatch):
    def refuse(path, **more):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(ImageError, match="no permission"):
        read_volume(tmp_path / "a.nii")


ERRORS = [MemoryError("9 GiB"), OverflowError("too large"), OSError(5, "Input/output error")]
ERRORS += [RuntimeError("lazy"), KeyError("x"), RecursionError()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_whatever_a_reader_raises_is_a_sentence(tmp_path, monkeypatch, error):
    path = save_volume(tmp_path / "a.nii", brain())

    def fail(content):
        raise error

    monkeypatch.setattr(nib.Nifti1Image, "from_bytes", fail)
    with pytest.raises(ImageError, match=r"a.nii: \w+") as caught:
        read_volume(path)
    assert "damaged" not in str(caught.value)


OTHERS = {
    b"/annex/objects/MD5E-s1--0.nii.gz\n": "datalad get",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n": "git lfs pull",
    b"<!DOCTYPE html><html></html>": "a web page",
    b"\xef\xbb\xbf \n<HTML></HTML>": "a web page",
    b"<?xml version='1.0'?><Error>AccessDenied</Error>": "a server's answer",
    b'{"error": "log in"}': "JSON",
    gzip.compress(gzip.compress(bytes(400))): "packed by gzip",
    bz2.compress(bytes(400)): "bzip2",
    lzma.compress(bytes(400)): "xz",
    b"PK\x03\x04" + bytes(400): "ZIP",
    bytes(128) + b"DICM" + bytes(400): "DICOM.*Convert",
}


@pytest.mark.parametrize(("content", "message"), OTHERS.items(), ids=OTHERS.values())
def test_what_stands_for_an_image_is_named(tmp_path, content, message):
    (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(ImageError, match=f"something else: .*{message}"):
        read_volume(tmp_path / "a.nii.gz")


def test_links_in_a_circle_and_folders_are_no_images(tmp_path):
    (tmp_path / "a.nii.gz").symlink_to("a.nii.gz")
    (tmp_path / "b.nii.gz").mkdir()
    with pytest.raises(ImageError, match="a.nii.gz: the file cannot be read"):
        read_volume(tmp_path / "a.nii.gz")
    with pytest.raises(ImageError, match="b.nii.gz: expected a file, got a folder"):
        read_volume(tmp_path / "b.nii.gz")


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["packed", "plain"])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_packing_does_not_follow_the_name(tmp_path, pack, name):
    image = nib.Nifti1Image(brain(), np.diag([3.0, 3, 3, 1]))
    content = image.to_bytes()
    two = gzip.compress(content[:999]) + gzip.compress(content[999:]) + b"\0" * 512
    (tmp_path / name).write_bytes(pack(content + b"tail"))
    np.testing.assert_array_equal(read_volume(tmp_path / name).data, brain())
    (tmp_path / name).write_bytes(two)
    np.testing.assert_array_equal(read_volume(tmp_path / name).data, brain())
