"""Makes labels with known errors, and correct labels of unusual scans.

The bodies are those of tests/phantom, whose anatomy knows nothing of
totalmap/quality/plausibility/anatomy.csv,
and the two reference segmentations of real CTs in shared/data.
"""

from .label_errors import KINDS, Kind, Need
from .labelled_scans import Scan, View, findings_of, phantom_scan, real_scans
from .second_network import disagreements_of, drawn_anew
from .unusual_scans import VARIANTS, valid_variant

__all__ = [
    "KINDS",
    "VARIANTS",
    "Kind",
    "Need",
    "Scan",
    "View",
    "disagreements_of",
    "drawn_anew",
    "findings_of",
    "phantom_scan",
    "real_scans",
    "valid_variant",
]
