"""How results reach a destination, and promises are kept."""
