"""Installs TotalMAP from locked packages, checks and renews the locks, and makes offline bundles.

`install.check_system` and `install.packages` run before anything is installed: they import the
standard library only.
"""
