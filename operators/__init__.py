"""The chain of a study: thin MONAI Deploy operators, each with one call into `totalmap`.

study_loader -> series_selector -> volume_builder -> segmenter -> quality_assessor ->
repaired_source_writer, seg_writer, seg_labelmap_writer, sr_writer, rtstruct_writer, preview_writer,
report_writer, csv_writer, nifti_writer

A NIfTI file has a shorter one:

nifti_loader -> segmenter -> quality_assessor -> preview_picture_writer, report_writer, csv_writer,
nifti_writer

Operators derive from `holoscan.core.Operator`, the very object that `monai.deploy.core`
re-exports: importing it from there runs all of MONAI first (benchmarks/startup.py).
"""

from operators import cuda_runtime

cuda_runtime.preload()
