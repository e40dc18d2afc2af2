"""PG2, "Pose Guided Person Image Generation" (Ma et al., NIPS 2017), in plain PyTorch.

Data flow one way through the modules: keypoints -> heatmaps -> people -> datasets -> networks
-> losses -> experiments -> training -> scores, evaluation -> tables, figures -> reproduce, cli.
"""

__version__ = "0.1.0"
