"""ComBat between hospitals, by files that a person can read and send: a site tells sums, the centre
combines them, twice; then each site corrects its own table.

    site     sums        people, X'X, X'y           ->
    centre   regression  heights and slopes         <-
    site     squares     sums of squared residuals  ->
    centre   combat      effects of sites           <-
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fedbrain.data import combat
from fedbrain.data.feature_tables import Table, read_site, require_enough, write_features
from fedbrain.experiments.harmonise import Choice, training_people
from fedbrain.experiments.stored_json import read_stored
from fedbrain.experiments.workdir import write_json

SAME = (
    "covariates",
    "features",
    "test",
    "seed",
)  # fields that all files of one harmonisation share
Message = Mapping[str, Any]


def read_message(path: Path, *steps: str) -> dict[str, Any]:
    """A file of one of these steps.

    Args:
      path: of the file.
      steps: their names.

    Raises:
      ValueError: naming the file, when it is of another step, or damaged.
    """
    try:
        message = read_stored(path, f"a file of the step {' or '.join(steps)}")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}.") from None
    if message.get("step") not in steps or not set(SAME) <= set(message):
        raise ValueError(
            f"{path}: expected a file of the step {' or '.join(steps)}, got one of the step"
            f" {message.get('step')!r}."
        )
    return message


def _write(output: Path, step: str, shared: Message, **values: Any) -> None:
    write_json(output, {"step": step, **{k: shared[k] for k in SAME}, **values})
    told = ", ".join(k for k in values if k != "site")
    print(f"{output}: step {step}: {told}")


def _training(site: str, table: Table, shared: Message) -> tuple[np.ndarray, np.ndarray]:
    """(covariates, features) of a site's training people."""
    train = training_people({site: table}, shared["test"], seed=shared["seed"])[site]
    require_enough(site, table, train, shared["features"])
    return table.covariates[train], table.features[train]


def tell_sums(path: Path, output: Path, choice: Choice) -> None:
    """A site's first file.

    Args:
      path: of its table; the site is called like it.
      output: the file.
      choice: covariates and features; the same at all sites.
    """
    table, features = read_site(path, choice.covariates, choice.features)
    shared = {"covariates": list(choice.covariates), "features": features, "test": choice.test,
              "seed": choice.seed}  # fmt: skip
    site = path.name.removesuffix(".tsv")
    told = combat.sums(*_training(site, table, shared))
    _write(output, "sums", shared, site=site, xx=told.xx.tolist(), xy=told.xy.tolist())


def tell_squares(path: Path, regression: Path, output: Path) -> None:
    """A site's second file.

    Args:
      path: of its table.
      regression: what the centre sent.
      output: the file.
    """
    given = read_message(regression, "regression")
    site = _site_in(path, given["heights"], regression)
    table, _ = read_site(path, given["covariates"], given["features"])
    x, y = _training(site, table, given)
    if given["people"][site] != len(x):
        raise ValueError(
            f"{path}: expected the {given['people'][site]} training people of the first step, got"
            f" {len(x)}. Begin again with this table."
        )
    squares = combat.squares(_common(given), site, x, y)
    _write(output, "squares", given, site=site, squares=squares.tolist())


def combine(paths: Sequence[Path], regression: Path | None, output: Path, *, spread: bool) -> None:
    """The centre's first or second file, from the files of all sites.

    Args:
      paths: one a site.
      regression: of the first step, for the second one.
      output: the file.
      spread: whether sites change the spread too.
    """
    step = "squares" if regression else "sums"
    told: dict[str, dict[str, Any]] = {}
    for path in paths:
        message = read_message(path, step)
        first = next(iter(told.values()), message)
        for name in SAME:
            if message[name] != first[name]:
                raise ValueError(
                    f"{path}: expected the {name} of {paths[0]}, got others. Agree on them, and"
                    " begin again."
                )
        if message["site"] in told:
            raise ValueError(f"{path}: expected one file a site, got {message['site']!r} twice.")
        told[message["site"]] = message
    if len(told) < 2:
        raise ValueError(f"Expected files of at least two sites, got {len(told)}.")
    shared = next(iter(told.values()))
    if regression is None:
        sums = {n: combat.Sums(np.asarray(m["xx"]), np.asarray(m["xy"])) for n, m in told.items()}
        common = combat.solve(sums)
        people = {n: s.people for n, s in sums.items()}
        heights = {n: a.tolist() for n, a in common.heights.items()}
        _write(output, "regression", shared, people=people, heights=heights,
               slopes=common.slopes.tolist())  # fmt: skip
        return
    given = read_message(regression, "regression")
    if set(told) != set(given["people"]):
        raise ValueError(
            f"{regression}: expected files of its sites, {', '.join(given['people'])}, got"
            f" {', '.join(told)}."
        )
    squares = {n: np.asarray(m["squares"]) for n, m in told.items()}
    try:
        fitted = combat.estimate(_common(given), given["people"], squares, spread=spread)
    except combat.FollowsError as error:
        name = given["features"][error.feature]
        raise ValueError(
            f"Expected features that do not follow from the covariates, got {name!r} at"
            f" {error.site}. Leave it out at all sites, and begin again."
        ) from None
    effects = {n: {k: v.tolist() for k, v in e._asdict().items()}
               for n, e in fitted.effects.items()}  # fmt: skip
    numbers = {k: getattr(fitted, k).tolist() for k in ("height", "slopes", "scale")}
    _write(output, "combat", given, **numbers, effects=effects)


def apply(path: Path, given: Path, output: Path) -> None:
    """Corrects the table of a site.

    Args:
      path: of the table.
      given: the centre's last file.
      output: folder for a table of the same name.
    """
    told = read_message(given, "combat")
    site = _site_in(path, told["effects"], given)
    if (output / path.name).resolve() == path.resolve():
        raise ValueError(f"{path}: would be written over. Choose another --output.")
    table, features = read_site(path, told["covariates"], told["features"])
    effect = combat.Effect(*(np.asarray(told["effects"][site][k]) for k in combat.Effect._fields))
    height, scale = (np.asarray(told[k]) for k in ("height", "scale"))
    fitted = combat.Combat(height, _slopes(told), scale, {site: effect})
    values = combat.apply(fitted, site, table.covariates, table.features)
    write_features(output / path.name, table, features, values)
    print(f"{output / path.name}: {len(table.subjects)} people")


def _common(given: Message) -> combat.Common:
    heights = {n: np.asarray(a) for n, a in given["heights"].items()}
    return combat.Common(heights, _slopes(given))


def _slopes(given: Message) -> np.ndarray:
    """Also without covariates."""
    shape = len(given["covariates"]), len(given["features"])
    return np.asarray(given["slopes"], np.float64).reshape(shape)


def _site_in(path: Path, sites: Mapping[str, Any], given: Path) -> str:
    site = path.name.removesuffix(".tsv")
    if site not in sites:
        raise ValueError(
            f"{path}: expected a table called like a site of {given}, {', '.join(sites)}, got"
            f" {site!r}."
        )
    return site
