"""The native alternative: Flax NNX twins of PyTorch modules, and the bridge that carries weights both ways."""
