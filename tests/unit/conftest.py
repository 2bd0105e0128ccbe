"""Defines fixtures for the tests of several packages."""

from tests.small_study import small_segmentation, small_series, small_study

__all__ = ["small_segmentation", "small_series", "small_study"]
