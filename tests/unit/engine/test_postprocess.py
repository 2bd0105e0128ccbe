import numpy as np

from totalmap.engine.postprocess import lay_over


def test_a_later_network_wins_and_its_background_does_not() -> None:
    combined = np.array([0, 7, 7], dtype=np.uint8)
    lay_over(combined, np.array([1, 2, 0], dtype=np.uint8), (0, 50, 60))
    assert combined.tolist() == [50, 60, 7]
