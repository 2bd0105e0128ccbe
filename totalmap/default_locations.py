"""Defines the default locations of settings and weights; imports no slow module."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
DEFAULT_SETTINGS = REPOSITORY / "app.yaml"
# Folder of `totalmap models install`. The demo model is never a default, since it must not be used
# for patients.
DEFAULT_MODELS = REPOSITORY / "models" / "totalsegmentator"
# Recorded as source of weights that were in the folder already.
ADOPTED = "adopted"
# totalsegmentator/libs.py, download_pretrained_weights.
RELEASES_URL = "https://github.com/wasserth/TotalSegmentator/releases/download"
