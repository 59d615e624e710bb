"""Compare neural networks, layer by layer, with recordings from the brain."""
