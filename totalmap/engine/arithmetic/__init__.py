"""How the layers of a network are computed: exactly as PyTorch does, compiled, or on a GPU."""
