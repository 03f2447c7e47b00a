"""Three hospitals with their own ages, sexes and scanners, and the people who are scanned there.

All numbers of a person are drawn from one generator, seeded by (seed, hospital, index): a cohort of
50 is the beginning of a cohort of 500.
"""

import zlib
from typing import NamedTuple

import numpy as np

from fedbrain.data.synthetic.anatomy import expected_volumes


class Scanner(NamedTuple):
    """How a hospital's images look and are stored."""

    csf: float  # mean grey values of the tissues
    gm: float
    wm: float
    snr: float  # of white matter
    blur_mm: float  # Gaussian SD of the point spread
    bias: float  # amplitude of the coil's shading
    voxel_size_mm: tuple[float, float, float]
    axcodes: str  # storage order
    dtype: str


class Hospital(NamedTuple):
    """A hospital's people and scanner."""

    ages: tuple[tuple[float, float, float], ...]  # (share, from, to): uniform pieces, in years
    male: float  # share
    scanner: Scanner


# Age laws after IXI (two humps), SALD (a young peak) and Cam-CAN (uniform); scanners are invented.
HOSPITALS = {
    "amber": Hospital(
        ages=((0.5, 20, 45), (0.5, 45, 86)),
        male=0.45,
        scanner=Scanner(30, 85, 120, 80, 1.5, 0.10, (3.0, 3.0, 3.0), "LAS", "int16"),
    ),
    "birch": Hospital(
        ages=((0.6, 19, 40), (0.4, 40, 80)),
        male=0.38,
        scanner=Scanner(200, 520, 800, 62, 2.0, 0.20, (2.5, 3.0, 3.0), "PSR", "uint16"),
    ),
    "cedar": Hospital(
        ages=((1.0, 18, 88),),
        male=0.50,
        scanner=Scanner(0.15, 0.55, 0.85, 90, 1.2, 0.05, (3.0, 3.0, 3.5), "RAS", "float32"),
    ),
}


class Person(NamedTuple):
    """One synthetic subject. Volumes are fractions of the intracranial volume."""

    id: str
    age_years: float
    male: bool
    education_years: int
    icv_ml: float
    reserve: float  # standard normal: a younger-looking brain, the cause of the age gap
    gm: float
    ventricles: float
    ms: bool
    disease_duration_years: float
    lesion_ml: float
    sdmt: float  # correct answers in 90 s
    seed: int


def sdmt_norm(age_years: float, education_years: int) -> tuple[float, float]:
    """Mean and SD of the Symbol Digit Modalities Test in healthy Czech adults.

        mean = 67.18 - 2.0145e-4 age^3 + 2.3585e-6 age^4 + 3.865 [education >= 16 years]

    Both in correct answers in 90 s; the norm is the one that FLightcase uses.

    >>> round(sdmt_norm(40.0, 12)[0], 1)
    60.3
    """
    by_age = 67.18 - 2.0145e-4 * age_years**3 + 2.3585e-6 * age_years**4
    return by_age + 3.865 * (education_years >= 16), 8.34


def draw_person(hospital: str, index: int, *, seed: int, ms: bool = False) -> Person:
    """The index-th subject of a hospital.

    Residual SDs are 1.4 points for grey matter and .30 (log) for ventricles, half of the variance
    shared through `reserve`. Lesion load is log-normal with median 13.9 mL and log-SD 1.48, at most
    52 mL, as in the 30 patients of the reference.

    Args:
      hospital: amber, birch or cedar.
      index: of the subject, from 0.
      seed: of the cohort.
      ms: whether the subject has multiple sclerosis.

    References:
      Lesjak et al. (2017), https://doi.org/10.1007/s12021-017-9348-7
    """
    key = np.random.SeedSequence([seed, zlib.crc32(hospital.encode()), index, int(ms)])
    rng = np.random.default_rng(key)
    ages, male_share, _ = HOSPITALS[hospital]
    shares = [share for share, _, _ in ages]
    _, low, high = ages[rng.choice(len(shares), p=shares)]
    age = rng.uniform(max(low, 18), min(high, 65 if ms else 99))
    male = bool(rng.random() < (0.3 if ms else male_share))
    education = int(np.clip(rng.normal(14, 3), 8, 22))
    icv = rng.normal(1530 if male else 1349, 115)
    reserve = rng.normal()
    duration = float(np.clip(rng.gamma(2.0, 5.0), 0.2, age - 16)) if ms else 0.0
    lesions = float(min(13.9 * np.exp(1.48 * rng.normal()), 52)) if ms else 0.0
    gm, ventricles = expected_volumes(age)
    gm += 0.010 * reserve + 0.010 * rng.normal() - 0.0008 * duration
    ventricles *= np.exp(-0.21 * reserve + 0.21 * rng.normal() + 0.012 * duration)
    mean, sd = sdmt_norm(age, education)
    sdmt = mean + sd * (0.4 * reserve + 0.6 * rng.normal()) - 0.35 * lesions - 0.25 * duration
    return Person(
        id=f"sub-{hospital}{'MS' if ms else ''}{index:04d}",
        age_years=round(float(age), 2),
        male=male,
        education_years=education,
        icv_ml=float(icv),
        reserve=float(reserve),
        gm=float(np.clip(gm, 0.38, 0.56)),
        ventricles=float(np.clip(ventricles, 0.004, 0.06)),
        ms=ms,
        disease_duration_years=round(duration, 1),
        lesion_ml=lesions,
        sdmt=round(float(np.clip(sdmt, 0, 110))),
        seed=int(key.generate_state(1)[0]),
    )
