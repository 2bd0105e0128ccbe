"""How the container image is made: the MAP (MONAI application package).

`python -m image package` has the real `monai-deploy package` build it, `python -m image build`
builds our own Dockerfile. Both work on a stage: a folder with copies of the tracked files only.
"""
