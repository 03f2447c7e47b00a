"""What an exported file says about its model: what is needed to use it without this program."""

import importlib.metadata
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

import fedbrain
from fedbrain.data.recipes import Recipe
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.spec import choose
from fedbrain.models.losses import LOSSES

LAYOUT = "[batch, right-left, front-back, up-down, channel]"
TORCH_LAYOUT = "[batch, channel, right-left, front-back, up-down]"
NORMALISATION = (
    "RAS order, float32; one cubic grid; z-scored inside the mask, clamped to [-5, 5];"
    " {registered} (fedbrain.data.conform)"
)


def _normalisation(recipe: Recipe) -> str:
    """What is done to an image, and where it must lie."""
    if recipe.centre_mm is None:
        return NORMALISATION.format(registered="not registered")
    centre = ", ".join(f"{mm:g}" for mm in recipe.centre_mm)
    registered = f"registered to a template before, with the middle of the box at ({centre}) mm"
    return NORMALISATION.format(registered=registered)


def _output(config: Mapping[str, Any], unit: str) -> str:
    """How a prediction in the target's unit is made from the network's output."""
    loss = choose("loss", config["loss"], LOSSES)
    if loss.outputs > 1:
        return f"{loss.outputs} numbers, from which {config['loss']} of fedbrain predicts ({unit})"
    centre, one = (float(loss.predict(jnp.full((1, 1), x, jnp.float32))[0]) for x in (0, 1))
    return f"prediction ({unit}) = {centre:g} + {one - centre:g} * output"


def describe_model(
    config: Mapping[str, Any],
    experiment: Experiment,
    shape: tuple[int, ...],
    *,
    model: str,
    torch: bool,
) -> dict[str, str]:
    """Text by name, as the metadata of a `.safetensors` file holds it.

    Args:
      config: of the experiment, as it was written.
      experiment: the same, read.
      shape: of an image, [d h w c].
      model: federation, split and client.
      torch: whether names and layouts are PyTorch's.
    """
    recipe, inputs = experiment.recipe, experiment.inputs
    return {
        "written_by": f"fedbrain {fedbrain.__version__}",
        "versions": ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("jax", "flax")),
        "format": "pt" if torch else "np",
        "names": "MONAI DenseNet121(spatial_dims=3)" if torch else "fedbrain",
        "model": config["model"],
        "which": model,
        "loss": config["loss"],
        "output": _output(config, experiment.unit),
        "unit": experiment.unit,
        "target": config["target"],
        "input": f"{TORCH_LAYOUT if torch else LAYOUT} of float32",
        "shape": " x ".join(map(str, shape[:3])),
        "voxel_size_mm": f"{recipe.voxel_size_mm:g}",
        "mask": recipe.mask,
        "normalisation": _normalisation(recipe),
        "prepare": config["prepare"],
        "modalities": ", ".join(experiment.modalities),
        "covariates": ", ".join(config["covariates"]) or "none",
        "covariate_columns": ", ".join(inputs.covariates) or "none",
    }
