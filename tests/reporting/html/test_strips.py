from __future__ import annotations

import base64
import xml.etree.ElementTree as ElementTree

import numpy as np

from offset_autoencoder.evaluation.examples import Reconstructions
from offset_autoencoder.reporting.html.strips import sample_strips

_SVG = "{http://www.w3.org/2000/svg}"


def test_of_images_the_originals_come_first() -> None:
    images = np.random.default_rng(0).random((3, 8, 8), dtype=np.float32)
    shown, prior = sample_strips(
        Reconstructions(images, [("pca", images)], [("vae", images)], (0.0, 1.0))
    )
    assert [strip.name for strip in shown] == ["original", "pca"]
    assert [strip.name for strip in prior] == ["vae"]


def test_profiles_have_the_sample_and_its_reconstruction_in_one() -> None:
    x = np.array([[0.0, 2.0, 4.0], [4.0, 4.0, 0.0]], np.float32)
    y = np.array([[1.0, 2.0, 9.0], [np.nan, 4.0, 0.0]], np.float32)
    shown, prior = sample_strips(Reconstructions(x, [("pca", y)], [], (0.0, 4.0)))
    assert prior == []
    assert [(strip.name, strip.holds) for strip in shown] == [("pca", "2 profiles")]
    head, _, data = shown[0].data.partition(",")
    assert head == "data:image/svg+xml;base64"
    svg = ElementTree.fromstring(base64.b64decode(data))
    lines = [(path.get("class"), path.get("d")) for path in svg.iter(f"{_SVG}path")]
    assert lines == [
        ("x", "M0.0 48.0L60.0 24.0L120.0 0.0"),
        ("x", "M128.0 0.0L188.0 0.0L248.0 48.0"),
        ("y", "M0.0 36.0L60.0 24.0L120.0 0.0"),  # cut off at the top
        ("y", "M128.0 48.0L188.0 0.0L248.0 48.0"),  # what is no number lies at the bottom
    ]


def test_nothing_is_shown_of_nothing() -> None:
    assert sample_strips(None) == ([], [])
    empty = Reconstructions(np.zeros((0, 8), np.float32), [], [], (0.0, 1.0))
    assert sample_strips(empty) == ([], [])
