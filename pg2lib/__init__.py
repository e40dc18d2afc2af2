"""PG2, "Pose Guided Person Image Generation" (Ma et al., NIPS 2017), in plain PyTorch.

Imports go one way through the rooms:
core < data < models < training < evaluation < results < workflow < apps < commands < cli.
"""

__version__ = "0.1.0"
