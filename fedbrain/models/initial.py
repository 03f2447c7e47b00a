"""Initial values of a network, by a program that compiles fast.

A network draws every kernel by the same operations, with a key of its own. XLA compiles them anew
for every kernel: 13 s and 230 MiB of program for DenseNet-121. `he_normal` draws by few sizes, and
`together` draws all kernels of a size at once, so that there are few of them to compile: 4 s, 60
MiB. The values are those of flax, to the bit.

References:
  He et al. (2015), https://arxiv.org/abs/1502.01852
"""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import JaxprEqn, Literal
from jax.interpreters import partial_eval
from jaxtyping import Array, Float

from fedbrain.types import Key

CUT = 2  # standard deviations beyond which nothing is drawn
DEVIATION_AFTER_CUT = 0.87962566103423978  # of a standard normal variable, cut there


@partial(jax.jit, static_argnums=1)
def _draws(key: Key, number: int) -> Float[Array, " number"]:
    return jax.random.truncated_normal(key, -CUT, CUT, (number,))


def he_normal(key: Key, shape: Sequence[int]) -> Array:
    """A kernel of variance 2 / inputs, as `flax.linen.initializers.he_normal()` draws it.

    The i-th number drawn depends on the key and on i alone, unless `jax_threefry_partitionable` is
    off: more than are needed are drawn, so that kernels of many shapes are of few sizes.

    Args:
      key: of this kernel.
      shape: the last axis is the outputs'.
    """
    size = math.prod(shape)
    draws = _draws(key, 1 << (size - 1).bit_length())[:size]
    variance = jnp.array(2 / math.prod(shape[:-1]), draws.dtype)
    deviation = jnp.sqrt(variance) / jnp.array(DEVIATION_AFTER_CUT, draws.dtype)
    return draws.reshape(shape) * deviation


def together(function: Callable) -> Callable:
    """The same function of arrays, where equal draws that do not wait for each other are one.

    What no result needs is left out.

    >>> def pair(key):
    ...     return [jax.random.normal(jax.random.fold_in(key, i), (3,)) for i in range(2)]
    >>> def draws(function):
    ...     eqns = jax.make_jaxpr(function)(jax.random.key(0)).eqns
    ...     return [eqn.params.get("name") for eqn in eqns].count("_normal")
    >>> draws(pair), draws(together(pair))
    (2, 1)
    """

    def run(*args: Any, **keywords: Any) -> Any:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*args, **keywords)
        all_results = [True] * len(closed.jaxpr.outvars)
        jaxpr, _ = partial_eval.dce_jaxpr(closed.jaxpr, all_results, instantiate=True)
        values: dict[Any, Any] = dict(zip(jaxpr.constvars, closed.consts))
        values |= zip(jaxpr.invars, jax.tree.leaves((args, keywords)))

        def read(variable: Any) -> Any:
            return variable.val if isinstance(variable, Literal) else values[variable]

        for equal in _in_turns(jaxpr.eqns):
            operands = [[read(v) for v in eqn.invars] for eqn in equal]
            for eqn, results in zip(equal, _apply(equal[0], operands)):
                values |= zip(eqn.outvars, results)
        return jax.tree.unflatten(jax.tree.structure(shape), map(read, jaxpr.outvars))

    return run


def _in_turns(eqns: Sequence[JaxprEqn]) -> list[list[JaxprEqn]]:
    """Groups of equal draws, and every other operation alone, each after what it needs."""
    turn_of: dict[Any, int] = defaultdict(int)  # variable -> the turn after which it is known
    groups: dict[tuple[int, Hashable], list[JaxprEqn]] = defaultdict(list)
    for number, eqn in enumerate(eqns):
        turn = 1 + max((turn_of[v] for v in eqn.invars if not isinstance(v, Literal)), default=0)
        turn_of |= dict.fromkeys(eqn.outvars, turn)
        kinds: list[Any] = [v.aval for v in eqn.invars]
        draws = any(jnp.issubdtype(kind.dtype, jax.dtypes.prng_key) for kind in kinds)
        same = (eqn.primitive, str(eqn.params), str(kinds)) if draws else number
        groups[turn, same].append(eqn)
    return [groups[turn, same] for turn, same in sorted(groups, key=lambda group: group[0])]


def _apply(eqn: JaxprEqn, operands: Sequence[Sequence[Any]]) -> list[list]:
    """The results of an operation for each of several operands."""

    def once(*values: Any) -> list[Array]:
        results = eqn.primitive.bind(*values, **eqn.params)
        return results if eqn.primitive.multiple_results else [results]

    if len(operands) == 1:
        return [once(*operands[0])]
    stacked = jax.vmap(once)(*(jnp.stack(values) for values in zip(*operands)))
    return [[values[i] for values in stacked] for i in range(len(operands))]
