"""Images and tables, on the host: numpy, nibabel and grain; no jax."""
