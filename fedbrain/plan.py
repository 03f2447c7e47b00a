"""Whether an experiment's training step fits an accelerator, without having one.

    fedbrain plan CONFIG --device=h100|a100|rtx4090|v5e [--devices=4] [--config.FIELD=VALUE]

The step of one client is compiled for the device; where it does not fit, with remat, over several
devices that share its batches, and with microbatches. Compiled, not measured: a library may need
more. For a large network it takes minutes. No data are read, and nothing is written.
"""

from pathlib import Path
from typing import Any

from absl import flags

from fedbrain import cli

if __name__ == "__main__":
    DEVICE = flags.DEFINE_string("device", None, "One of h100, a100, rtx4090, v5e.")

    DEVICES = flags.DEFINE_integer("devices", 1, "How many of them a process has.")

    def _plan(config: Any, workdir: Path) -> None:
        import jax  # seconds, which help does not need

        from fedbrain.experiments import plan

        del workdir  # nothing is written
        jax.config.update("jax_platforms", "cpu")  # else CUDA is started, which needs a GPU
        plan.run(config, cli.given(DEVICE), DEVICES.value)

    cli.run_config(
        _plan,
        kind="experiment",
        interrupted="Nothing was changed.",
        prepare=cli.configure,
    )
