"""Optimiser links, at clients and server: optax's own by name, and the few that optax lacks."""

import optax

from fedbrain.optimizers.proximal import add_proximal_term

# The first argument is the learning rate. A client's state starts anew every round.
OPTIMIZERS = {
    "sgd": optax.sgd,
    "adam": optax.adam,
    "adamw": optax.adamw,
    "yogi": optax.yogi,
}

# Client links that stand before the optimiser.
TRANSFORMS = {
    "add_proximal_term": add_proximal_term,
    "clip_by_global_norm": optax.clip_by_global_norm,
    "add_decayed_weights": optax.add_decayed_weights,
}
