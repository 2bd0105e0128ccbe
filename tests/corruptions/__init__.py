"""Labels that are wrong in known ways, and labels that are right in unusual scans.

The bodies are those of tests/phantom, whose anatomy knows nothing of
totalmap/quality/plausibility/anatomy.csv,
and the two reference segmentations of real CTs in shared/data.
"""

from .kinds import KINDS, Kind, Need
from .other_network import disagreements_of, drawn_anew
from .scans import Scan, View, findings_of, phantom_scan, real_scans
from .variants import VARIANTS, valid_variant

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
