"""Tests that a network of OpenVINO is kept, and that only a file that can be trusted is used."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from structlog.testing import capture_logs

from tests.unit.engine.arithmetic.small_networks import PATCH, plain, tile
from totalmap.engine.arithmetic.openvino_network import OpenVinoNetwork
from totalmap.engine.arithmetic.openvino_network_cache import KeptNetwork, keep_in
from totalmap.private_cache import FOLDER_NAME, PrivateCache


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    keep_in(PrivateCache(tmp_path))
    yield tmp_path / FOLDER_NAME
    keep_in(None)


def features(seed: int = 0) -> torch.Tensor:
    """Returns the features of a new network with these random weights."""
    return OpenVinoNetwork(plain(seed=seed), PATCH, bfloat16=False).features(tile()).clone()


def reasons(expected: torch.Tensor) -> list[str]:
    """Returns why no kept network is used; the features have to be right nevertheless."""
    with capture_logs() as events:
        assert torch.equal(features(), expected)
    return [event["reason"] for event in events if event["event"] == "cache_ignored"]


def test_a_kept_openvino_network_has_equal_features_bit_for_bit_and_is_not_written_again(
    folder: Path,
) -> None:
    first = features()
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.stat().st_ino
    assert torch.equal(features(), first)
    assert file.stat().st_ino == before


def test_the_kept_openvino_network_is_the_one_that_runs(folder: Path) -> None:
    other = features(seed=1)
    (file_of_other,) = folder.iterdir()
    features()
    (file,) = set(folder.iterdir()) - {file_of_other}
    exported = file.read_bytes().partition(b"\n")[2]
    exchanged = KeptNetwork(PrivateCache(folder.parent), conditions_of(file))
    exchanged.write(file_of_other.read_bytes().partition(b"\n")[2])
    assert torch.equal(features(), other)
    exchanged.write(exported)
    assert not torch.equal(features(), other)


def conditions_of(file: Path) -> dict[str, str]:
    conditions: dict[str, str] = json.loads(file.read_bytes().partition(b"\n")[0])["conditions"]
    return conditions


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def changed(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def without_a_first_line(file: Path) -> None:
    file.write_bytes(b"\0" * 100)


def of_another_processor(file: Path) -> None:
    exported = file.read_bytes().partition(b"\n")[2]
    other = KeptNetwork(
        PrivateCache(file.parent.parent), {**conditions_of(file), "processor": "another"}
    )
    other.write(exported)
    file.with_name(other.name).replace(file)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut, "is damaged"),
        (changed, "is damaged"),
        (without_a_first_line, "is damaged"),
        (of_another_processor, "was made under other conditions"),
        (lambda file: file.chmod(0o644), "other users may use"),
    ],
    ids=["cut", "changed", "without a first line", "of another processor", "open to others"],
)
def test_a_kept_openvino_network_that_cannot_be_trusted_is_ignored_and_replaced(
    folder: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    expected = features()
    (file,) = folder.iterdir()
    spoil(file)
    (found,) = reasons(expected)
    assert reason in found
    assert reasons(expected) == []


def test_a_kept_network_that_openvino_refuses_is_compiled_again(folder: Path) -> None:
    expected = features()
    (file,) = folder.iterdir()
    KeptNetwork(PrivateCache(folder.parent), conditions_of(file)).write(b"no network")
    (found,) = reasons(expected)
    assert "can't be used by OpenVINO" in found


def test_a_folder_of_kept_openvino_networks_that_others_may_use_is_not_read_or_written(
    folder: Path,
) -> None:
    folder.mkdir(mode=0o700)
    folder.chmod(0o777)
    features()
    assert list(folder.iterdir()) == []
