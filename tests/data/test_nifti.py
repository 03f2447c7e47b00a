"""The NIfTI reader: right values in RAS order, or one sentence that names the file."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedbrain.data.nifti import ImageError, read_volume
from tests.tiny import brain, save_volume


def _asymmetric() -> np.ndarray:
    return np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["RAS", "LPS", "PSR", "LAI", "ASL", "IPR"]),
    st.sampled_from(["u1", "i2", ">i2", "f4", ">f8"]),
)
def test_every_order_and_type_gives_the_same_volume(tmp_path_factory, axcodes, dtype):
    path = tmp_path_factory.mktemp("x") / "a.nii.gz"
    transform = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(axcodes)
    )
    data = nib.orientations.apply_orientation(_asymmetric(), transform)
    affine = np.diag([1.0, 2, 3, 1]) @ nib.orientations.inv_ornt_aff(transform, (4, 5, 6))
    nib.save(nib.Nifti1Image(data.astype(dtype), affine), path)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.data, _asymmetric())
    assert volume.data.dtype == np.float32
    np.testing.assert_allclose(volume.voxel_size_mm, (1, 2, 3))
    np.testing.assert_allclose(volume.affine, np.diag([1.0, 2, 3, 1]), atol=1e-6)


def test_slope_and_intercept(tmp_path):
    image = nib.Nifti1Image(np.arange(8, dtype=np.int16).reshape(2, 2, 2), np.eye(4))
    image.header.set_slope_inter(2.0, -1.0)
    path = tmp_path / "a.nii"
    nib.save(image, path)
    np.testing.assert_allclose(
        read_volume(path).data.ravel(), np.asarray(nib.load(path).dataobj).ravel()
    )


def test_one_volume_in_4d_and_some_bad_voxels(tmp_path):
    data = brain().astype(np.float32)[..., None]
    data[0, 0, 0, 0], data[1, 0, 0, 0] = np.nan, np.inf
    volume = read_volume(save_volume(tmp_path / "a.nii.gz", data))
    assert volume.data.shape == (16, 16, 16)
    assert volume.non_finite == 2
    assert np.isfinite(volume.data).all()


def _cut(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def _cut_inside(path):
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:1000]))


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def _annex(path):
    path.unlink()
    path.symlink_to("../../.git/annex/objects/aa/bb/MD5E-s1--0.nii.gz")


DAMAGE = {
    "truncated gzip": (_cut, "damaged or cut short"),
    "truncated inside": (_cut_inside, "damaged or cut short"),
    "flipped byte": (_flip, "damaged or cut short"),
    "git-annex link": (_annex, "datalad get"),
    "zero bytes": (lambda p: p.write_bytes(b""), "0 bytes"),
    "missing": (lambda p: p.unlink(), "nothing there"),
    "text": (lambda p: p.write_bytes(b"hello" * 100), "something else|damaged"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_one_sentence_that_names_the_file(tmp_path, damage, message):
    path = save_volume(tmp_path / "sub-01_T1w.nii.gz", brain())
    damage(path)
    with pytest.raises(ImageError, match=message) as caught:
        read_volume(path)
    assert "sub-01_T1w.nii.gz" in str(caught.value)
    assert "\n" not in str(caught.value)


UNUSABLE = {
    "four volumes": (np.ones((4, 4, 4, 4), np.float32), None, "one 3-D volume"),
    "flat": (np.ones((4, 4), np.float32), None, "one 3-D volume"),
    "constant": (np.full((4, 4, 4), 7, np.int16), None, "contrast"),
    "mostly NaN": (
        np.where(np.arange(64).reshape(4, 4, 4) % 2, np.nan, 1).astype(np.float32),
        None,
        "32 of 64",
    ),
    "complex": (np.ones((4, 4, 4), np.complex64), None, "real voxels"),
}


@pytest.mark.parametrize(("data", "affine", "message"), UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_unusable_images_are_refused(tmp_path, data, affine, message):
    with pytest.raises(ImageError, match=message):
        read_volume(save_volume(tmp_path / "a.nii.gz", data, affine))


def test_a_singular_affine_is_refused(tmp_path):
    image = nib.Nifti1Image(brain(), np.eye(4))
    image.set_qform(None, code=0)
    image.set_sform(np.diag([0.0, 1, 1, 1]), code=1)
    nib.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(ImageError, match="a.nii.gz: expected an affine"):
        read_volume(tmp_path / "a.nii.gz")


def test_an_image_without_orientation_is_kept_and_told(tmp_path):
    image = nib.Nifti1Image(brain(), None)
    image.set_qform(None, code=0)
    image.set_sform(None, code=0)
    nib.save(image, tmp_path / "a.nii.gz")
    assert not read_volume(tmp_path / "a.nii.gz").oriented
    assert read_volume(save_volume(tmp_path / "b.nii.gz", brain())).oriented


def test_an_empty_axis_is_refused(tmp_path):
    with pytest.raises(ImageError, match="one 3-D volume"):
        read_volume(save_volume(tmp_path / "a.nii.gz", np.zeros((4, 0, 4), np.int16)))
