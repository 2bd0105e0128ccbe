import pytest

from totalmap.dicom.frame import is_sharp_kernel


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("BR38F", False),
        ("B30S", False),
        ("B70F", True),
        ("BL57D", True),
        ("HR60", True),
        ("STANDARD", False),
        ("SOFT", False),
        ("LUNG", True),
        ("BONEPLUS", True),
        ("FC08", False),
        ("", False),
    ],
)
def test_reconstruction_kernels_of_several_vendors_are_recognised_as_sharp_or_soft(
    kernel: str, expected: bool
) -> None:
    assert is_sharp_kernel(kernel) is expected
