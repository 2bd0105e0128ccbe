"""MONAI Deploy operators that process a study; each makes one call into `totalmap`.

A DICOM study: study_loader -> series_selector -> volume_builder -> segmenter -> quality_assessor ->
result_writers.

A NIfTI file: nifti_loader -> segmenter -> quality_assessor -> result_writers.

The operators derive from `holoscan.core.Operator`. `monai.deploy.core` exports the same class, but
importing it from there imports all of MONAI first (benchmarks/startup.py).
"""

from operators import cuda_runtime

cuda_runtime.preload()
