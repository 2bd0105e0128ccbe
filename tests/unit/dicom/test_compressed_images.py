import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from totalmap.dicom.compressed_images import jpeg2000_size, jpeg_size


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint16]:
    return np.random.default_rng(0).integers(0, 4096, (36, 50), dtype=np.uint16)


def test_the_size_declared_in_a_jpeg_codestream_is_that_of_the_image(
    image: NDArray[np.uint16],
) -> None:
    assert jpeg_size(bytes(imagecodecs.jpegls_encode(image))) == (36, 50)
    assert jpeg_size(bytes(imagecodecs.jpeg8_encode(image, lossless=True))) == (36, 50)
    assert jpeg2000_size(bytes(imagecodecs.jpeg2k_encode(image, codecformat="j2k"))) == (36, 50)
    assert jpeg2000_size(bytes(imagecodecs.jpeg2k_encode(image, codecformat="jp2"))) == (36, 50)


def test_the_size_of_a_jpeg_image_with_fill_bytes_and_padding_is_read(
    image: NDArray[np.uint16],
) -> None:
    content = bytes(imagecodecs.jpegls_encode(image))
    filled = content[:2] + b"\xff\xff" + content[2:] + b"\0"
    assert jpeg_size(filled) == (36, 50)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_jpeg_image_is_rejected(image: NDArray[np.uint16], share: float) -> None:
    content = bytes(imagecodecs.jpeg8_encode(image, lossless=True))
    with pytest.raises(ValueError, match="no whole JPEG image"):
        jpeg_size(content[: int(len(content) * share)])


def test_a_jpeg_image_with_a_damaged_marker_is_rejected(image: NDArray[np.uint16]) -> None:
    content = bytearray(imagecodecs.jpegls_encode(image))
    content[2] = 0x12
    with pytest.raises(ValueError, match="damaged header"):
        jpeg_size(bytes(content))


def test_bytes_that_are_no_jpeg_2000_image_are_rejected() -> None:
    with pytest.raises(ValueError, match="not found"):
        jpeg2000_size(bytes(100))


@pytest.mark.parametrize("padding", [b"\xff", b"\xff\xff", b"\0" * 100, b"\0\xff\0", b"pad"])
def test_padding_bytes_after_the_end_marker_of_a_jpeg_image_are_allowed(
    image: NDArray[np.uint16], padding: bytes
) -> None:
    """Writers make the length even with bytes of any value (PS3.5 A.4.1 asks for zeros)."""
    assert jpeg_size(bytes(imagecodecs.jpegls_encode(image)) + padding) == (36, 50)
