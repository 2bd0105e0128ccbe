"""Writes the preview: pictures of the labels on the images, with a legend."""
