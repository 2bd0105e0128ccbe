"""Where settings and weights lie and come from if no argument says so. Imports nothing slow."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
DEFAULT_SETTINGS = REPOSITORY / "app.yaml"
# Where `totalmap models install` puts them. The demo model is never a default: it would be run on
# a patient sooner or later.
DEFAULT_MODELS = REPOSITORY / "models" / "totalsegmentator"
# The source of weights that were in the folder already.
ADOPTED = "adopted"
# totalsegmentator/libs.py, download_pretrained_weights.
RELEASES_URL = "https://github.com/wasserth/TotalSegmentator/releases/download"
