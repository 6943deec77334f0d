from __future__ import annotations

import numpy as np
import pytest
from channel.messages import make_messages


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_every_split_holds_every_message_equally_often(bits: int) -> None:
    made = make_messages(bits)
    np.testing.assert_array_equal(made["x"].argmax(axis=1), made["message"])
    np.testing.assert_array_equal(made["x"].sum(axis=1), 1)
    assert made["x"].dtype == np.float32
    assert len(set(made["id"].tolist())) == len(made["x"])
    for split in ("train", "validation", "test"):
        counts = np.bincount(made["message"][made["split"] == split], minlength=2**bits)
        assert counts.min() == counts.max() > 0
