"""Collects what a bug report needs, without patient data."""
