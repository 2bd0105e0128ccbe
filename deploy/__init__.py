"""Renders and validates the files with which a site runs TotalMAP under MONAI Deploy."""
