import numpy as np
import torch

from totalmap.engine.postprocess import labels_from_logits, lay_over


def test_the_first_maximum_wins() -> None:
    logits = torch.tensor([1.0, 3.0, 3.0, 2.0]).half().reshape(4, 1, 1, 1)
    assert labels_from_logits(logits).item() == 1


def test_a_later_network_wins_and_its_background_does_not() -> None:
    combined = np.array([0, 7, 7], dtype=np.uint8)
    lay_over(combined, np.array([1, 2, 0], dtype=np.uint8), (0, 50, 60))
    assert combined.tolist() == [50, 60, 7]
