"""Builds the container image: the MAP (MONAI application package).

`python -m image package` builds it with MONAI's own `monai-deploy package`, `python -m image build`
with our own Dockerfile. Both use a build context: a folder with copies of tracked files only.
"""
