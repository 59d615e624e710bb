"""Networks as plain `torch.nn.Module`s, found by name."""
