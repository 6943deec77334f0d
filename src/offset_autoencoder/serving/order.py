"""What the process that writes served models is asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Order:
    """A run to be written.

    Attributes:
        run: Its id.
        model: The model's name.
        folder: Where to.
        test: What ``evaluate`` measured on the test split; ``mse`` is measured again.
    """

    run: str
    model: str
    folder: str
    test: dict[str, float]
