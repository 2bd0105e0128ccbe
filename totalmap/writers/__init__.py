"""Results: each kind has its file, and all of them leave through `release`, together or not."""
