"""What the PyTorch backends share and what needs torch at the top: the reference modules, and how they are trained."""
