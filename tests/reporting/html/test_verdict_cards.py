from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from offset_autoencoder.reporting.page import reason_of


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("pca: noise: why: so (error: a (b) +1 %; margin 5 %)", "why: so"),
        ("pca: inconclusive: open (margin 5 %); about 8 seeds more", "open; about 8 seeds more"),
        ("pca: said in another way", "said in another way"),
        ("pca: no: figures", "no: figures"),
    ],
)
def test_the_reason_is_what_stands_between_word_and_figures(sentence: str, reason: str) -> None:
    assert reason_of(sentence, "pca") == reason


def test_every_sentence_that_is_written_gives_its_reason(
    make_report: Callable[..., Any], make_whole: Callable[..., Any]
) -> None:
    for seeds in (2, 10):
        for verdict in make_whole(make_report(seeds=seeds)).verdicts:
            reason = reason_of(verdict.sentence, verdict.setting.label)
            assert f": {reason.partition(';')[0]}" in verdict.sentence
            assert verdict.setting.label not in reason
            assert "margin" not in reason
