"""Computes the layers of a network: exactly as PyTorch, compiled by OpenVINO, or on a GPU."""
