"""Puts a result into words and numbers for people: for the preview, the report and the PDF."""
