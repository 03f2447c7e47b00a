"""From a configuration to results: experiments, rounds, checkpoints, studies, grids."""
