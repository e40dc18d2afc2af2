"""PG2, "Pose Guided Person Image Generation" (Ma et al., NIPS 2017), in plain PyTorch.

Data flow one way through the modules: keypoints -> heatmaps -> people, store,
market, fashion -> datasets -> networks -> losses -> experiments -> training -> ssim, scores,
evaluation -> tables, figures -> pipeline, reproduce, cli.
What a machine is (devices, distributed) lies below all of them.
"""

__version__ = "0.1.0"
