"""Which setting of a baseline a setting is compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from offset_autoencoder.config import Setting

_POWER_KEYS = ("rms", "stddev")


def power(setting: Setting) -> float | None:
    """The root mean square a coordinate of what is added to the code, as params.yaml gives it.

    That is ``rms`` where given (the noise added on top of it is the model's own), else
    ``stddev``; None where nothing is added, or an offset as it came.
    """
    if setting.spec.rms is not None:
        return setting.spec.rms
    return setting.spec.stddev if setting.spec.stddev > 0 else None


def match_baseline(setting: Setting, settings: Sequence[Setting], baseline: str) -> Setting | None:
    """The setting of the baseline model that a setting is compared with.

    It agrees with the setting in every key that the baseline sweeps, the power apart, and it
    has the same power if it has any. So where ``latent_dim`` is swept for all models, both sides
    have the same; where ``gaussian`` sweeps ``stddev``, it is taken at the power of the
    setting; and a key in which a model differs by design (``wide: {hidden: [64]}``) keeps nothing
    from being compared, as long as the baseline does not sweep it. Of several that are left,
    the one with the same ``stddev`` and ``rms`` is taken.

    Args:
        setting: What is compared.
        settings: All settings.
        baseline: The name of the baseline model.

    Returns:
        The baseline's setting; None where there is none, where it is the setting itself, or
        where several would do.
    """
    candidates = [
        other
        for other in settings
        if other.model == baseline
        and all(same_value(value, _value(setting, key)) for key, value in _fixed(other))
        and _same_power(setting, other)
    ]
    if len(candidates) > 1:
        candidates = [
            other
            for other in candidates
            if all(same_value(_value(other, key), _value(setting, key)) for key in _POWER_KEYS)
        ]
    if len(candidates) != 1 or candidates[0] == setting:
        return None
    return candidates[0]


def same_value(first: Any, second: Any) -> bool:
    """Whether two values of a key are the same; numbers to nine digits."""
    numbers = [
        value for value in (first, second) if isinstance(value, (int, float)) and value is not None
    ]
    if len(numbers) == 2 and not any(isinstance(value, bool) for value in numbers):
        return math.isclose(numbers[0], numbers[1], rel_tol=1e-9)
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        return tuple(first) == tuple(second)
    return bool(first == second)


def _fixed(setting: Setting) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in setting.sweep if key not in _POWER_KEYS]


def _same_power(setting: Setting, baseline: Setting) -> bool:
    needed = power(baseline)
    return needed is None or same_value(needed, power(setting))


def _value(setting: Setting, key: str) -> Any:
    for section in (setting.spec, setting.network, setting.train):
        if key in type(section).model_fields:
            return getattr(section, key)
    raise KeyError(key)
