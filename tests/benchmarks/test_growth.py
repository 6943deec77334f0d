"""Exponents of growth."""

import io

import pytest
from benchmarks.growth import VALUES, Size, exponents, growth_table, sizes
from rich.console import Console


def power_law(noise: float) -> dict[Size, list[float]]:
    """Times that grow with samples, and with the root of the latent dim."""
    every = {size for factor in VALUES for size in sizes(factor)}
    return {
        size: [
            1e-3 * scale * size.samples * size.latent_dim**0.5 * (1 + noise * (size.samples > 2000))
            for scale in (1.0, 3.0)
        ]
        for size in every
    }


def test_the_exponent_is_that_of_the_power_law_in_every_repeat() -> None:
    times = power_law(0.0)
    assert exponents(times, "samples") == pytest.approx([1.0, 1.0])
    assert exponents(times, "latent_dim") == pytest.approx([0.5, 0.5])
    assert exponents(times, "features") == pytest.approx([0.0, 0.0], abs=1e-9)


def test_what_grows_faster_at_the_end_has_a_larger_exponent() -> None:
    assert min(exponents(power_law(0.5), "samples")) > 1.1


def test_the_table_has_a_row_for_each() -> None:
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(growth_table(power_law(0.0)))
    text = console.export_text()
    assert "latent dim" in text
    assert "0.5 (0.5 to 0.5)" in text
