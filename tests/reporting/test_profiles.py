from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread
from offset_autoencoder.reporting.figure import PALETTE
from offset_autoencoder.reporting.profiles import MOST_POINTS, draw_profiles, profile_lines


@given(st.integers(1, 2000))
def test_a_line_has_few_points_and_the_mean_of_its_features(features: int) -> None:
    vectors = np.random.default_rng(features).random((2, features))
    across, heights = profile_lines(vectors, (0.0, 1.0))
    assert across[0] == 0
    assert across[-1] == 1
    assert heights.shape == (2, across.size)
    assert min(2, features) <= across.size <= MOST_POINTS
    block = -(-features // MOST_POINTS)
    expected = [
        vectors[:, start : start + block].mean(axis=1) for start in range(0, features, block)
    ]
    np.testing.assert_allclose(heights[:, : len(expected)], np.transpose(expected))


def test_values_lie_between_the_ends_of_the_range() -> None:
    _, heights = profile_lines(np.array([[-9.0, 1.0, 2.0, 3.0, 9.0, np.nan]]), (1.0, 3.0))
    np.testing.assert_array_equal(heights, [[0, 0, 0.5, 1, 1, 0]])
    _, flat = profile_lines(np.array([[2.0, 2.0]]), (2.0, 2.0))
    assert np.isfinite(flat).all()


def test_the_reconstruction_lies_over_the_sample(tmp_path: Path) -> None:
    path = tmp_path / "reconstructions.png"
    low, high = np.zeros((2, 5)), np.ones((2, 5))
    assert draw_profiles(path, low, [("pca", low), ("none", high)], data_range=(0, 1))
    picture = np.rint(255 * imread(path)[:, :, :3]).astype(int)
    blue = np.array([int(PALETTE[0][i : i + 2], 16) for i in (1, 3, 5)])
    rows = np.flatnonzero((np.abs(picture[35:, -100] - blue).sum(axis=1)) < 150)
    height = (picture.shape[0] - 35) / 2
    assert rows.size
    assert rows.min() < height  # at the bottom of the first row, over the sample
    assert {bool(row > 1.5 * height) for row in rows} == {False}  # and at the top of the second


def test_nothing_to_draw_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "nothing.png"
    assert not draw_profiles(path, np.zeros((0, 8)), [], data_range=(0, 1))
    assert not list(tmp_path.iterdir())
