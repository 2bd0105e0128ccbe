"""Renders the files that a site needs to run TotalMAP under MONAI Deploy, Argo or Docker."""
