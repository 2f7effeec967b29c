"""How PyTorch names and lays out the arrays of networks, and how files of them are read."""
