"""Kind ``function``: the user's own f(x, latent_dim, rng), named ``module:callable``.

Stateless: a callable ``f(x, latent_dim, rng) -> (n, latent_dim)``. It is called for each chunk of
rows of each split (64 MB of x; a smaller split is one chunk) with a generator fresh from ``seed``
each time, so what it draws first is the same in all.

Fitted: an object with two methods (or a class of such objects that is made without
arguments)::

    fit(x_train, latent_dim, rng) -> dict[str, numpy.ndarray]
    apply(state, x) -> (n, latent_dim)

``apply`` sees what ``fit`` returned, and nothing that it left on the object, because it may
run in another process. ``x`` is float32 (n, input_dim) and read-only. The result may be of any
real dtype and is stored as float32. Both forms must be deterministic, and a row of f(x) must
depend on its own row of x alone: a statistic of all rows is fitted, on the training split, or
it would differ from split to split. Both are tried on the training split.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from offset_autoencoder.config.offset_kinds import FunctionOffset
from offset_autoencoder.errors import InputError, printable, short_repr
from offset_autoencoder.io.arrays import rows_per_chunk
from offset_autoencoder.offsets import kind
from offset_autoencoder.user_code import blame_user_code, find_target

_FITTED = "fitted."  # before the names of the user's own arrays
_TRIAL_ROWS = 64


def fit(where: str, params: FunctionOffset, training: kind.Training, latent_dim: int) -> kind.State:
    """Call the user's ``fit``, where there is one, and test the promises stated above.

    Returns:
        The function's name, the seed, the latent dim, and the user's arrays as ``fitted.KEY``.

    Raises:
        InputError: where the function is not found, raises, returns something else than was
            said, or is not deterministic or not row by row.
    """
    where = f"{where}.function"
    x, name = _read_only(training.x), params.function
    state = _fit_once(where, params, x, latent_dim)
    rows = rows_per_chunk(max(x.shape[1], latent_dim))
    head = x[: min(_TRIAL_ROWS, (min(len(x), rows) + 1) // 2)]
    first = apply(where, state, kind.Samples(head))
    again = apply(where, _fit_once(where, params, x, latent_dim), kind.Samples(head))
    # The last rows, backwards: each among others, and at another place, than it stands in x.
    backwards = np.ascontiguousarray(x[-len(head) :][::-1])
    last = apply(where, state, kind.Samples(backwards))[::-1]
    begin = apply(where, state, kind.Samples(x[:rows]))
    end = begin
    if len(x) > rows:
        end = apply(where, state, kind.Samples(x[-rows:], first_row=len(x) - rows))
    for vectors, others, fault, remedy in (
        (
            first,
            again,
            "other values when it is called again",
            "an offset is deterministic: draw random numbers from rng alone",
        ),
        (
            first,
            begin[: len(head)],
            f"a sample other values among {len(begin)} rows than among {len(head)}",
            "f(x) is row by row: compute statistics of all rows in a fit method",
        ),
        (
            last,
            end[-len(head) :],
            "a sample other values where it stands at another row",
            "f(x) is row by row: what it draws is the same for all rows, such as weights; noise of "
            "a sample's own is kind: hash",
        ),
    ):
        if not _equal_up_to_rounding(vectors, others):
            raise InputError(where, f"{name} gives {fault}", remedy)
    return state


def apply(where: str, state: kind.State, samples: kind.Samples) -> kind.Float32:
    """Call the user's function on samples: float32 (n, latent_dim).

    Raises:
        InputError: where the function is not found, raises, or returns something else than
            finite numbers of that shape.
    """
    name, latent_dim = state["function"].item(), state["latent_dim"].item()
    target, x = find_target(where, name), _read_only(samples.x)
    if _is_fitted(target):
        own = {
            key.removeprefix(_FITTED): array.copy()
            for key, array in state.items()
            if key.startswith(_FITTED)
        }
        result = _call(where, f"{name}.apply", target.apply, own, x)
    else:
        rng = np.random.default_rng(state["seed"].item())
        result = _call(where, name, target, x, latent_dim, rng)
    array, shape = _call(where, name, np.asarray, result), (len(x), latent_dim)
    if array.dtype.kind not in "fiub":
        raise InputError(
            where, f"{name} must return an array of real numbers, its dtype is {array.dtype}"
        )
    if array.shape != shape:
        raise InputError(
            where, f"{name} must return shape {shape} (n, latent_dim), it returned {array.shape}"
        )
    return kind.finite_float32(f"{where}: what {name} returned", array, samples.first_row)


def _fit_once(where: str, params: FunctionOffset, x: kind.Float32, latent_dim: int) -> kind.State:
    state = {
        "function": np.array(params.function),
        "seed": np.array(params.seed, dtype=np.int64),
        "latent_dim": np.array(latent_dim, dtype=np.int64),
    }
    target = find_target(where, params.function)
    if not _is_fitted(target):
        return state
    name = f"{params.function}.fit"
    # A copy, as state that ``fit`` leaves on the object is lost to the next process.
    fitted = target if isinstance(target, ModuleType) else copy.copy(target)
    own = _call(where, name, fitted.fit, x, latent_dim, np.random.default_rng(params.seed))
    if not isinstance(own, Mapping):
        raise InputError(
            where, f"{name} must return a dict of arrays, it returned a {type(own).__name__}"
        )
    for key, value in own.items():
        if not isinstance(key, str) or printable(key) != key:
            what = f"{name} must return a dict whose keys are names, one is {short_repr(key)}"
            raise InputError(where, what)
        array = _call(where, f"{name}, key {key!r}", np.asarray, value)
        if array.dtype.hasobject:
            raise InputError(
                where,
                f"{name} must return names and arrays of numbers, its key {key!r} holds "
                f"a {type(value).__name__}",
            )
        state[_FITTED + key] = array
    return state


def _is_fitted(target: Any) -> bool:
    return hasattr(target, "fit") and hasattr(target, "apply")


def _read_only(x: kind.Float32) -> kind.Float32:
    view = np.asarray(x).view()
    view.flags.writeable = False
    return view


def _call(where: str, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    with blame_user_code(where, name):
        return function(*arguments)


def _equal_up_to_rounding(a: kind.Float32, b: kind.Float32) -> bool:
    # Libraries that sum in several threads differ in the last bits from call to call.
    scale = float(np.sqrt(np.mean(np.square(a, dtype=np.float64))))
    return bool(np.allclose(a, b, rtol=1e-4, atol=1e-4 * scale))


KIND = kind.OffsetKind(fit, apply)
