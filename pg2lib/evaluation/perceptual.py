"""LPIPS, the learned perceptual distance of two images (Zhang et al. 2018), version 0.1 with VGG16.

The network and its linear heads come from the package `lpips`, VGG16's weights from torchvision's
file.
"""

import warnings
from pathlib import Path

import numpy as np
import torch

from pg2lib.core import downloads
from pg2lib.core.downloads import NoWeights
from pg2lib.evaluation.ssim import check_images

VGG16 = downloads.Weights(  # 553 MB
    "torchvision's VGG16",
    "vgg16-397923af.pth",
    "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    "https://download.pytorch.org/models/vgg16-397923af.pth",
    "PG2_LPIPS",
)


def lpips_weights(download=True):
    """Path of VGG16's weights, or None; `require_lpips` says why None.

    Raises:
        NoWeights: $PG2_LPIPS is set, but not to that file.
    """
    return downloads.or_none(require_lpips, VGG16, download)


def require_lpips(download=True):
    """Path of VGG16's weights, checked by SHA-256.

    Looked for in the file or folder $PG2_LPIPS, then as `inception.require_inception` does.

    Raises:
        NoWeights: no package `lpips`, no file, no network, or a wrong checksum; says which.
    """
    _package()
    return downloads.require(VGG16, download=download)


def _package():
    try:
        import lpips
    except ImportError:
        raise NoWeights("LPIPS needs the package lpips: pip install .[scores].") from None
    return lpips


def lpips_network(weights, device="cpu"):
    """The LPIPS network with VGG16's weights from a path, see `lpips_weights`."""
    package = _package()
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
    """LPIPS of each pair at the images' own size: 0 for equal images, lower is closer.

    Args:
        generated, target: uint8 (n, H, W, 3), H and W at least 16.
        network: from `lpips_network`.
        batch: pairs at a time.

    Returns:
        float64 (n,).
    """
    check_images(generated, target)
    device, values = network.scaling_layer.shift.device, [np.empty(0)]
    for start in range(0, len(generated), batch):
        a, b = (
            torch.from_numpy(np.array(images[start : start + batch])).to(device).permute(0, 3, 1, 2)
            for images in (generated, target)
        )
        distance = network(a.float() / 127.5 - 1, b.float() / 127.5 - 1)  # (b, 1, 1, 1)
        values.append(distance.flatten().double().cpu().numpy())
    return np.concatenate(values)
