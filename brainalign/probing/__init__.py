"""The activations of a network, layer by layer, as representations."""
