"""Optimiser links, at clients and server: optax's own by name, and the few that optax lacks."""

import optax

from fedbrain.algorithms.compression import bfloat16, int8, int8_with_feedback, scaled_sign, top_k
from fedbrain.algorithms.proximal import add_proximal_term
from fedbrain.algorithms.ranges import in_range
from fedbrain.algorithms.server_optimizers import SERVER_OPTIMIZERS

# The first argument is the learning rate. A client's state starts anew every round.
OPTIMIZERS = {
    "sgd": in_range(optax.sgd),
    "adam": in_range(optax.adam),
    "adamw": in_range(optax.adamw),
    "yogi": in_range(optax.yogi),
}

# Client links that stand before the optimiser.
TRANSFORMS = {
    "add_proximal_term": add_proximal_term,
    "clip_by_global_norm": in_range(optax.clip_by_global_norm),
    "add_decayed_weights": in_range(optax.add_decayed_weights),
}

# What a client does to its delta before it leaves.
UPLOADS = {
    "identity": optax.identity,
    "bfloat16": bfloat16,
    "int8": int8,
    "int8_with_feedback": int8_with_feedback,
    "top_k": top_k,
    "scaled_sign": scaled_sign,
}

__all__ = ["OPTIMIZERS", "SERVER_OPTIMIZERS", "TRANSFORMS", "UPLOADS", "add_proximal_term"]
