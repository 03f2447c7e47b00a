"""fedbrain: federated learning of 3-D networks on brain MRI, in pure functions of JAX."""

__version__ = "0.1.0"
