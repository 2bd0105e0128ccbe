"""Installs TotalMAP from locked packages, checks and renews the locks, and makes offline bundles.

`install.system` and `install.packages` run before anything is installed: they import the standard
library only.
"""
