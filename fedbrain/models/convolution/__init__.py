"""3-D convolution of volumes, fast on a CPU: three bilinear maps, closed under differentiation.

    y = convolve(x, k)        y[p] = sum_t k[t] x[s p + t]
    x = spread(y, k)          its adjoint in x: the gradient of the input
    k = correlate(x, y)       its adjoint in k: the gradient of the kernel

The derivative of each is the other two, so gradients of any order run at the same speed.

| platform | by |
| --- | --- |
| CPU with oneDNN's package (Linux, x86-64) | oneDNN |
| other CPUs, and types that oneDNN does not have | pure JAX, in the formulation for the shape |
| GPU, TPU | XLA's own convolution |
"""

from fedbrain.models.convolution import onednn
from fedbrain.models.convolution.formulations import (
    FORMULATIONS,
    Geometry,
    for_convolution,
    for_correlation,
    native,
)
from fedbrain.models.convolution.maps import conv3d, convolve, correlate, pointwise, spread

__all__ = [
    "FORMULATIONS",
    "Geometry",
    "conv3d",
    "convolve",
    "correlate",
    "for_convolution",
    "for_correlation",
    "native",
    "onednn",
    "pointwise",
    "spread",
]
