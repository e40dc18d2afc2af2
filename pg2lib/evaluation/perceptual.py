"""LPIPS, the learned perceptual distance of two images (Zhang et al. 2018), version 0.1 with VGG16.

The network and its linear heads come from the package `lpips`, VGG16's weights from torchvision's
file.
"""

import importlib
import os
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from pg2lib.core import downloads
from pg2lib.core.downloads import NoWeights
from pg2lib.evaluation.ssim import channels_first, check_images, parts


@dataclass(frozen=True)
class PackageWeights(downloads.Weights):
    """Published weights of a network that an optional package defines."""

    module: str  # of the package
    needs: str  # for the message: which scores need which package

    def missing(self):
        return NoWeights(f"{self.needs}: pip install .[scores].")

    def package(self):
        """Import the module. Raises NoWeights if it is missing."""
        try:
            return importlib.import_module(self.module)
        except ImportError:
            raise self.missing() from None

    def require(self, download=True):
        """The path of the file, see `downloads.require`. Raises NoWeights, naming the extra to
        install, if the package is missing."""
        if not find_spec(self.module.partition(".")[0]):  # importing it takes seconds
            raise self.missing()
        return downloads.require(self, download=download)

    def find(self, download=True):
        """The path of the file, or None without it or the package. Raises NoWeights if the
        environment variable is set: a mistake in it must not go unnoticed."""
        try:
            return self.require(download)
        except NoWeights:
            if os.environ.get(self.variable):
                raise
            return None


VGG16 = PackageWeights(  # 553 MB
    "torchvision's VGG16",
    "vgg16-397923af.pth",
    "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    "https://download.pytorch.org/models/vgg16-397923af.pth",
    "PG2_LPIPS",
    "lpips",
    "LPIPS needs the package lpips",
)


def lpips_network(weights, device="cpu"):
    """The LPIPS network with VGG16's weights from a path, see `VGG16.find`."""
    package = VGG16.package()
    heads = Path(package.__file__).with_name("weights") / "v0.1" / "vgg.pth"
    vgg, heads = (torch.load(x, map_location="cpu", weights_only=True) for x in (weights, heads))
    with torch.device("meta"), warnings.catch_warnings():  # without weights: none are downloaded
        warnings.simplefilter("ignore")  # lpips uses an old option of torchvision
        network = package.LPIPS(net="vgg", pretrained=False, pnet_rand=True, verbose=False)
    trunk = {  # lpips's "slice2.5.bias" is torchvision's "features.5.bias"
        f"net.{key}": vgg[f"features.{key.partition('.')[2]}"] for key in network.net.state_dict()
    }
    network.load_state_dict(trunk | heads, strict=False, assign=True)
    return network.eval().requires_grad_(False).to(device)


@torch.inference_mode()
def lpips(generated, target, network, batch=32):
    """LPIPS of each pair at the images' own size: float64 (n,), 0 for equal images, low if close.

    generated, target: uint8 (n, H, W, 3), H and W at least 16; network: from `lpips_network`.
    """
    check_images(generated, target)
    device, values = network.scaling_layer.shift.device, [np.empty(0)]
    for part in parts(len(generated), batch):
        a, b = (channels_first(images[part], device) for images in (generated, target))
        distance = network(a.float() / 127.5 - 1, b.float() / 127.5 - 1)  # (b, 1, 1, 1)
        values.append(distance.flatten().double().cpu().numpy())
    return np.concatenate(values)
