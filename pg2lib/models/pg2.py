"""PG2, Pose Guided Person Image Generation (Ma et al., NIPS 2017): six rows and ten ablations.

Stage I (G1) paints a coarse image I_B1 from the condition image I_A and the target pose P_B;
stage II (G2) adds a difference map and is trained against the discriminator D.

Layers follow the released code, which fills in what the paper leaves open (3.3); `embedding` is
the bottleneck of 64 numbers. Convolutions are padded symmetrically (the released TensorFlow code
pads stride-2 ones on one side). G1 and G2 have no normalisation and no dropout.
"""

from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from pg2lib.core.config import with_fields
from pg2lib.core.files import UserError
from pg2lib.data.heatmaps import VARIANTS, heatmaps, pose_mask
from pg2lib.models.base import (
    SCHEDULES,
    Adam,
    Inputs,
    Method,
    Output,
    TrainingConfig,
    Update,
    schedule_of,
)  # fmt: skip
from pg2lib.models.discriminators import D
from pg2lib.models.layers import Encoder, ResidualBlock, blocks_for, conv3, frozen, he, xavier
from pg2lib.models.losses import bce, feature_matching, masked_l1, structural

JOINT_COUNT = 18
POSE_EMBEDDINGS = ("concatenation", "CE", "HME")


@dataclass(frozen=True)
class PG2Config(TrainingConfig):
    """One training run of PG2: a stage I, or a stage II on top of another row. Where paper and
    released code differ, the default follows the paper."""

    network: str = "G1"  # or "G2", which refines the image of Method.start
    pose: str = "concatenation"  # "concatenation", "CE" or "HME" (paper 3.1, 4.2)
    visibility: bool = False  # CE gets a bit per joint too; else a missing one is the centre
    mask_weight: float = 1.0  # of M_B in the L1 loss: 1 is eq. 1, 0 plain L1
    adversarial: bool = False  # train against D
    l1_weight: float = 1.0  # lambda of eq. 4; 1 without D
    channels: int = 128
    embedding: int = 64
    heatmap_values: str = "paper"  # paper: 0/1; "released": -1/+1
    heatmap_radius: float = 4.0  # pixels, at every size (paper 3.1)
    mask_variant: str = "released"  # the only published recipe; "scaled" grows with the image
    d_mode: str = "pair"  # paper: D sees pairs; "triplet": released code; "single": an ablation
    d_batch: str = "same"  # D learns from G's batch; "own": released code draws another
    d_kernel: int = 5  # released code; 4: divisible by the stride, so no checkerboard in G
    d_output: str = "image"  # one logit per image, as in a DCGAN; "patch": one per 8x8 pixels
    d_norm: str = "batch"  # a DCGAN's; "spectral": spectral normalisation instead
    d_padding: str = "zeros"  # released code; "reflect": D cannot tell where the border is
    feature_matching: float = 0.0  # weight of the L1 distance of D's features; not in the paper
    structural: float = 0.0  # weight of 1 - SSIM beside the L1 loss; not in the paper
    d_sees_coarse: bool = False  # released code (Market): I_B1 joins D's batch statistics
    skip_full_res: bool = False  # released code: False for Market, True for DeepFashion
    residual: bool = True  # blocks of G1 add their input (3.1); False: an ablation
    skips: bool = True  # connections from G1's encoder to its decoder (3.1); False: an ablation
    g2_paints: str = "difference"  # or the whole "image" (3.2), an ablation
    fully_connected: bool = False  # at the bottleneck of G2 (3.2); True: an ablation
    init_gain: float = 1.0  # times Xavier's weights of G1 (released code: 1)
    g2_init: str = "xavier"  # released code; "zero": He inside, a difference map that starts at 0
    learning_rate: float = 2e-5  # Adam of the generator (paper 4.1)
    d_learning_rate: float = 2e-5  # Adam of D
    schedule: str = "constant"  # paper, released code; "cosine" and "linear" fall to 0 at the end
    warmup: float = 0.0  # share of steps with a rising rate
    beta1: float = 0.5
    beta2: float = 0.999

    CHOICES = TrainingConfig.CHOICES | {
        "network": ("G1", "G2"), "pose": POSE_EMBEDDINGS, "heatmap_values": ("paper", "released"),
        "mask_variant": VARIANTS, "d_mode": ("pair", "triplet", "single"),
        "d_batch": ("same", "own"), "d_output": ("image", "patch"),
        "d_norm": ("batch", "spectral"), "d_padding": ("zeros", "reflect"),
        "g2_init": ("xavier", "zero"), "g2_paints": ("difference", "image"), "schedule": SCHEDULES,
    }  # fmt: skip

    @property
    def batches_per_step(self) -> int:
        return 2 if self.adversarial and self.d_batch == "own" else 1


class G1(nn.Module):
    """Stage I: the coarse image I_B1 from the condition image I_A and the target pose P_B.

    pose: how P_B enters (paper 3.1 and 4.2).
      "concatenation"  18 heatmaps beside the RGB input, 21 channels (the paper's proposal)
      "CE"   coordinates through two linear layers, joined to the image code at the bottleneck
      "HME"  heatmaps through an encoder of their own, joined to the image code at the bottleneck
    CE and HME were never released; their sizes (54-64-64, or 36-64-64 without visibility; the
    same encoder as the image's) are this project's choice. residual: see `ResidualBlock`;
    visibility: see `coordinates`; skips: False gives the decoder nothing of the encoder's maps.
    Parameters at channels=128: 70,795,075 (128x64), 122,103,235 (256x256).
    """

    def __init__(
        self, height=128, width=64, channels=128, embedding=64, pose="concatenation",
        residual=True, gain=1.0, visibility=False, skips=True,
    ):  # fmt: skip
        super().__init__()
        if pose not in POSE_EMBEDDINGS:
            raise UserError(f"unknown pose embedding {pose!r}; choose one of {POSE_EMBEDDINGS}")
        n = blocks_for(height)
        self.pose, self.size = pose, (height, width)
        self.visibility, self.skips = visibility, skips
        self.channels = channels
        self.small = (height >> (n - 1), width >> (n - 1))  # 8x4 at 128x64
        inputs = 3 + (JOINT_COUNT if pose == "concatenation" else 0)
        self.encoder = Encoder(inputs, height, width, channels, embedding, residual)
        if pose == "CE":
            self.pose_encoder = nn.Sequential(
                nn.Linear((2 + visibility) * JOINT_COUNT, embedding),
                nn.ReLU(),
                nn.Linear(embedding, embedding),
            )
        elif pose == "HME":
            self.pose_encoder = Encoder(JOINT_COUNT, height, width, channels, embedding, residual)
        codes = embedding if pose == "concatenation" else 2 * embedding
        self.expand = nn.Linear(codes, channels * self.small[0] * self.small[1])
        # input widths of the decoder blocks: c, then the output of the previous 1x1
        incoming = [channels] + [channels * k for k in range(n - 1, 0, -1)]
        passed = [channels * k * skips for k in range(n, 0, -1)]
        self.blocks = nn.ModuleList(
            ResidualBlock(a + b, residual) for a, b in zip(incoming, passed)
        )
        self.ups = nn.ModuleList(
            nn.Conv2d(a + b, c, 1) for a, b, c in zip(incoming, passed, incoming[1:])
        )
        self.last = conv3(incoming[-1] + passed[-1], 3)
        self.apply(partial(xavier, gain=gain))

    def forward(self, condition, heatmaps=None, keypoints=None):
        """condition I_A (B, 3, H, W); heatmaps P_B (B, 18, H, W), or for CE keypoints
        (B, 18, 2) in pixels. Returns I_B1 (B, 3, H, W), linear (no tanh, released code)."""
        if self.pose == "concatenation":
            code, skips = self.encoder(torch.cat([condition, heatmaps], 1))  # (B, 64), N skips
        else:
            code, skips = self.encoder(condition)
            if self.pose == "CE":
                joints = coordinates(keypoints, *self.size, self.visibility)  # (B, 36 or 54)
                pose_code = self.pose_encoder(joints)  # (B, 64)
            else:
                pose_code, _ = self.pose_encoder(heatmaps)  # (B, 64)
            code = torch.cat([code, pose_code], 1)  # (B, 128)
        x = self.expand(code).view(-1, self.channels, *self.small)  # (B, c, 8, 4)
        for k, block in enumerate(self.blocks):
            x = torch.cat([x, skips[-1 - k]], 1) if self.skips else x  # (B, in + skip, h, w)
            x = block(x)
            if k < len(self.ups):
                # released code: nearest x2, then the 1x1 convolution. A 1x1 commutes with nearest
                # up-sampling, so it runs before it, at a quarter of the cost, with equal result.
                x = F.interpolate(F.relu(self.ups[k](x)), scale_factor=2.0)  # (B, out, 2h, 2w)
        return self.last(x)  # (B, 3, H, W)


def coordinates(keypoints, height, width, visibility=False):
    """CE's input: (B, 18, 2) pixels -> (B, 36) in [-1, 1]; a missing joint is (0, 0).

    visibility: (B, 54), with 1 or 0 after each joint's coordinates. Without it a missing joint
    looks like one at the image centre, whereas a heatmap shows the difference.
    """
    scale = keypoints.new_tensor([2.0 / (width - 1), 2.0 / (height - 1)])
    found = (keypoints >= 0).all(-1, keepdim=True)
    placed = (keypoints * scale - 1) * found  # (B, 18, 2)
    return (torch.cat([placed, found], -1) if visibility else placed).flatten(1)


class G2(nn.Module):
    """Stage II: the difference map that turns I_B1 into I_B2 = I_B1 + G2(I_B1, I_A).

    N - 2 blocks, no fully connected layer (paper 3.2-3.3); fully_connected puts two at the
    bottleneck, as G1 has them. skip_full_res keeps the skip at full resolution: the released code
    drops it for Market-1501 and keeps it for DeepFashion.
    Parameters at channels=128: 6,058,883 (128x64, False), 12,696,067 (256x256, True).
    """

    def __init__(
        self, height=128, width=64, channels=128, skip_full_res=False, fully_connected=False,
        embedding=64,
    ):  # fmt: skip
        super().__init__()
        n = blocks_for(height) - 2
        if n < 1:
            raise UserError(f"G2 needs a height of at least 32 (N - 2 blocks), not {height}")
        c = channels
        self.skip_full_res = skip_full_res
        self.first = conv3(6, c)
        self.encoder = nn.ModuleList(
            nn.ModuleList([conv3(c * max(k, 1), c * (k + 1)), conv3(c * (k + 1), c * (k + 1))])
            for k in range(n)
        )
        self.downs = nn.ModuleList(conv3(c * (k + 1), c * (k + 1), stride=2) for k in range(n - 1))
        self.bottleneck = None
        if fully_connected:
            numbers = c * n * (height >> (n - 1)) * (width >> (n - 1))
            self.bottleneck = nn.Sequential(
                nn.Linear(numbers, embedding), nn.Linear(embedding, numbers)
            )
        # decoder block k sees the block below (first the bottleneck) and skip n-1-k
        joined = [2 * c * n] + [c + c * (n - k) for k in range(1, n)]
        if not skip_full_res and n > 1:
            joined[-1] = c
        self.decoder = nn.ModuleList(nn.ModuleList([conv3(j, c), conv3(c, c)]) for j in joined)
        self.last = conv3(c, 3)
        self.apply(xavier)

    def forward(self, coarse, condition):
        """coarse I_B1 and condition I_A, both (B, 3, H, W) -> difference map (B, 3, H, W)."""
        x = F.relu(self.first(torch.cat([coarse, condition], 1)))  # (B, c, H, W)
        skips = []
        for k, block in enumerate(self.encoder):
            for conv in block:
                x = F.relu(conv(x))  # (B, c(k+1), H/2^k, W/2^k)
            skips.append(x)
            if k < len(self.downs):
                x = F.relu(self.downs[k](x))
        if self.bottleneck is not None:
            x = self.bottleneck(x.flatten(1)).view_as(x)  # (B, c n, h, w) through (B, 64)
        for k, block in enumerate(self.decoder):
            if k == 0 or k < len(self.decoder) - 1 or self.skip_full_res:
                x = torch.cat([x, skips[-1 - k]], 1)  # k = 0: the bottleneck with itself
            for conv in block:
                x = F.relu(conv(x))  # (B, c, h, w)
            if k < len(self.decoder) - 1:
                x = F.interpolate(x, scale_factor=2.0)  # (B, c, 2h, 2w)
        return self.last(x)  # (B, 3, H, W)


def build(config: PG2Config) -> dict[str, nn.Module]:
    """G1 or G2; in adversarial runs also D, at half its width (64 for the paper's 128)."""
    c, size = config, (config.height, config.width)
    if c.network == "G1":
        how = c.pose, c.residual, c.init_gain, c.visibility, c.skips
        generator = G1(*size, c.channels, c.embedding, *how)
    else:
        generator = G2(*size, c.channels, c.skip_full_res, c.fully_connected, c.embedding)
        if c.g2_init == "zero":
            generator.apply(he)
            nn.init.zeros_(generator.last.weight)
    networks = {"generator": generator}
    if c.adversarial:
        inputs = 6 if c.d_mode == "pair" else 3
        width = max(c.channels // 2, 4)
        how = c.d_kernel, c.d_output, c.d_norm, c.d_padding
        networks["discriminator"] = D(*size, width, inputs, *how)
    return networks


def generate(networks, config: PG2Config, inputs: Inputs, start=None) -> Output:
    """I_B1, or I_B2 with its parts "coarse" (I_B1) and "difference" (I_B2 - I_B1), float32."""
    c, generator = config, networks["generator"]
    if c.network == "G1":
        size, how = (c.height, c.width), (c.heatmap_radius, c.heatmap_values)
        pose = heatmaps(inputs.target_keypoints, *size, *how)  # P_B (B, 18, H, W)
        return Output(generator(inputs.condition, pose, inputs.target_keypoints).float())
    coarse = start(inputs).image  # I_B1 (B, 3, H, W); G1 is frozen in stage II
    painted = generator(coarse, inputs.condition).float()
    if c.g2_paints == "image":
        return Output(painted, {"coarse": coarse, "difference": painted - coarse})
    return Output(coarse + painted, {"coarse": coarse, "difference": painted})


def updates(networks, config: PG2Config, batches, start=None):
    """One step: the generator by eq. 1 or 4, then D by eq. 2."""
    c, batch, critic = config, batches[0], networks.get("discriminator")
    mask = None  # M_B (B, 1, H, W), drawn only where it counts
    if c.mask_weight:
        mask = pose_mask(batch.target_keypoints, c.height, c.width, variant=c.mask_variant)
    output = generate(networks, c, batch, start)
    l1 = masked_l1(output.image, batch.target, mask, c.mask_weight)
    loss, terms = c.l1_weight * l1, {"l1": l1}
    if c.structural:
        terms["structural"] = structural(output.image, batch.target)
        loss = loss + c.structural * terms["structural"]
    if critic is None:
        yield Update("generator", loss, terms)
        return
    with frozen(critic):
        wanted = bool(c.feature_matching)
        logits, features = discriminate(
            critic, batch.condition, batch.target, *candidates(output, c), wanted
        )
        terms["adversarial"] = adversarial_loss(logits)
    loss = loss + terms["adversarial"]
    if wanted:
        terms["features"] = feature_matching(features["fake"], features["real"])
        loss = loss + c.feature_matching * terms["features"]
    yield Update("generator", loss, terms)
    if len(batches) > 1:  # released code: D's step takes a batch of its own
        batch = batches[1]
        with torch.no_grad():
            output = generate(networks, c, batch, start)
    seen = [x.detach() if torch.is_tensor(x) else x for x in candidates(output, c)]
    logits, _ = discriminate(critic, batch.condition, batch.target, *seen)
    chances = {f"d_{name}": logits[name].sigmoid().mean() for name in ("real", "fake")}
    yield Update("discriminator", discriminator_loss(logits), chances)


def candidates(output: Output, config: PG2Config):
    """Arguments of `discriminate` from an output: the fake, d_mode, and I_B1 or None."""
    coarse = output.parts.get("coarse", output.image) if config.d_sees_coarse else None
    return output.image, config.d_mode, coarse


def discriminate(discriminator, condition, target, fake, d_mode="pair", coarse=None, wanted=False):
    """Logits and features of D for the real and the fake candidates, from one pass over all.

    One pass means shared batch statistics, as in the released code. d_mode:
      "pair"     (paper eq. 2-3) D sees (I_A, I_B) and (I_A, fake): 6 channels
      "single"   D sees I_B and the fake alone, 3 channels: the paper's counter-example (3.2)
      "triplet"  (released code) D sees single images, and I_A itself is a second negative;
                 coarse I_B1, when given, joins the batch and so its statistics, but no loss
    Images (B, 3, H, W). Returns logits {"real", "fake"} and, for triplets, {"condition"}, (B,) or
    (B, patches) each; and the same of D's features, lists of (B, c, h, w), if they are wanted.
    """
    images = {"real": target, "fake": fake}
    if d_mode == "triplet":
        images = {"real": target, "condition": condition, "fake": fake}
    batch = list(images.values()) + ([coarse] if d_mode == "triplet" and coarse is not None else [])
    if d_mode == "pair":
        batch = [torch.cat([condition, image], 1) for image in batch]
    batch, size = torch.cat(batch), len(target)
    logits, layers = discriminator(batch, features=True) if wanted else (discriminator(batch), [])
    parts = [layer.split(size) for layer in layers]
    features = {name: [part[k] for part in parts] for k, name in enumerate(images)}
    return dict(zip(images, logits.float().split(size))), features


def discriminator_loss(logits):
    """BCE(real, 1) + BCE(fake, 0) for pairs (paper eq. 2); with the released code's triplets
    1/2 BCE(real, 1) + 1/4 BCE(condition, 0) + 1/4 BCE(fake, 0). Takes `discriminate`'s result."""
    real, fake = bce(logits["real"], 1.0), bce(logits["fake"], 0.0)
    if "condition" in logits:
        return real / 2 + bce(logits["condition"], 0.0) / 4 + fake / 4
    return real + fake


def adversarial_loss(logits):
    """BCE(fake, 1), the generator's share (paper eq. 3). Takes `discriminate`'s result."""
    return bce(logits["fake"], 1.0)


def optimizers(config: PG2Config) -> dict[str, Adam]:
    schedule = schedule_of(config.schedule, config.iterations, config.warmup)
    betas = config.beta1, config.beta2
    chosen = {"generator": Adam(config.learning_rate, *betas, schedule)}
    if config.adversarial:
        chosen["discriminator"] = Adam(config.d_learning_rate, *betas, schedule)
    return chosen


# The paper's choices per half of Table 1 (4.1); lambda, skip and released_*: the released code's.
PAPER = {
    "market1501": dict(batch=16, iterations=(22_000, 14_000), l1_weight=10.0, skip_full_res=False,
                       released_batch=16, released_iterations=(22_000, 38_000)),
    "deepfashion": dict(batch=8, iterations=(30_000, 20_000), l1_weight=50.0, skip_full_res=True,
                        released_batch=1, released_iterations=(22_000, 58_000)),
}  # fmt: skip


def configure(setting, profile, l1_factor: float = 1.0, **own) -> PG2Config:
    """The configuration of a row with its own fields `own`, for a data set (config.Setting at the
    study's image size) and a config.Profile; l1_factor multiplies lambda, for ablations."""
    paper, c = PAPER[setting.half], PG2Config(**own)
    # the paper gives no length for G1+D: as long as the other stages with a G1
    whose, chosen = "released_" if profile.released else "", dict(profile.training)
    if c.adversarial:
        chosen |= {"l1_weight": paper["l1_weight"]} | profile.adversarial
    if c.network == "G2":
        chosen |= profile.refining
    c = replace(
        c, height=setting.height, width=setting.width, channels=profile.channels,
        threads=profile.threads, skip_full_res=paper["skip_full_res"],
        iterations=(profile.iterations or paper[f"{whose}iterations"])[c.network == "G2"],
        batch=profile.batch or paper[f"{whose}batch"])  # fmt: skip
    c = with_fields(c, chosen, f"profile {profile.name}")
    pulling = ("l1_weight", "feature_matching", "structural")  # to the target
    c = replace(c, **{term: getattr(c, term) * l1_factor for term in pulling})
    if not profile.released:
        return c
    return replace(c, heatmap_values="released", d_batch="own",
        d_mode="triplet" if c.d_mode == "pair" else c.d_mode,
        d_sees_coarse=c.network == "G2" and setting.half == "market1501")  # fmt: skip


# Table 1 as printed (NIPS 2017; the poster has every cell): DeepFashion's SSIM and IS, then
# Market-1501's SSIM, IS, mask-SSIM and mask-IS.
PRINTED = {
    "G1-CE-L1": (0.694, 2.395, 0.219, 2.568, 0.771, 2.455),
    "G1-HME-L1": (0.735, 2.427, 0.294, 3.171, 0.802, 2.508),
    "G1-L1": (0.735, 2.427, 0.304, 3.006, 0.809, 2.455),
    "G1-poseMaskLoss": (0.779, 2.668, 0.340, 3.326, 0.817, 2.682),
    "G1+D": (0.761, 3.091, 0.283, 3.490, 0.803, 3.310),
    "G1+G2+D": (0.762, 3.090, 0.253, 3.460, 0.792, 3.435),
}
SAME_MASK_IS = {("market1501", "mask_inception"): "printed for G1-CE-L1 and for G1-L1 alike, in "
    "the proceedings and on the poster, although the text has G1-L1 ahead in every measure."
}  # fmt: skip
SAME_PAIR = {("deepfashion", score): "the pair 0.735 and 2.427 is printed in the rows G1-HME-L1 "
    "and G1-L1 of the poster alike; one of them may be a copy." for score in ("ssim", "inception")
}  # fmt: skip
DOUBTS = {"G1-CE-L1": SAME_MASK_IS, "G1-HME-L1": SAME_PAIR, "G1-L1": SAME_MASK_IS | SAME_PAIR}


def row(name, claim, colour="#b0b0b0", title="", **options) -> Method:
    """A Method of this file; options are fields of Method, or else of `configure`."""
    fields = {key: options.pop(key) for key in ("start", "against") if key in options}
    if name in PRINTED:
        names, printed = ("ssim", "inception", "mask_ssim", "mask_inception"), PRINTED[name]
        halves = {"deepfashion": printed[:2], "market1501": printed[2:]}
        fields["published"] = {half: dict(zip(names, halves[half])) for half in halves}
    return Method(name, PG2Config, partial(configure, **options), build, generate, updates,
        optimizers, claim=claim, title=title or name, colour=colour,
        doubts=DOUBTS.get(name, {}), **fields)  # fmt: skip


COARSE = "G1-poseMaskLoss"
STAGE_TWO = dict(start=COARSE, network="G2", adversarial=True)
ABLATION = dict(against="G1+G2+D", **STAGE_TWO)
METHODS = (
    row("G1-CE-L1", "pose as coordinates: blurry, wrong colour, wrong poses", "#e69f00",
        pose="CE", visibility=True, mask_weight=0.0),
    row("G1-HME-L1", "pose heatmaps through their own encoder: blurry", "#56b4e9",
        pose="HME", mask_weight=0.0),
    row("G1-L1", "heatmaps beside the image: right pose and colour", "#009e73", mask_weight=0.0),
    row(COARSE, "the body weighs more: sharper, nicer colour", "#0072b2",
        "G1-pose-\nMaskLoss\n(our coarse)"),
    row("G1+D", "one stage against D: fewer details than two stages", "#d55e00", adversarial=True),
    row("G1+G2+D", "two stages: sharper, more detail, lower SSIM", "#9a3f86",
        "G1+G2+D\n(our refined)", **STAGE_TWO),
    # Claims of the paper without a row; each ablation changes one thing in `against`.
    row("G1-noResidual", "residual blocks help G1", against=COARSE, residual=False),
    row("G1-noSkips", "skips carry I_A to the decoder", against=COARSE, skips=False),
    row("G2-L1+D", "the mask keeps stage II at the body", mask_weight=0.0, **ABLATION),
    row("G2-image+D", "a difference map converges faster", g2_paints="image", **ABLATION),
    row("G2-unpaired+D", "without pairs D lets G2 copy I_A", d_mode="single", **ABLATION),
    row("G2-lambda-small+D", "a small lambda leaves artefacts", l1_factor=0.01, **ABLATION),
    row("G2-lambda-0.1+D", "between a small lambda and ours", l1_factor=0.1, **ABLATION),
    row("G2-lambda-10+D", "between our lambda and a large one", l1_factor=10.0, **ABLATION),
    row("G2-lambda-large+D", "a large lambda blurs", l1_factor=100.0, **ABLATION),
    row("G2-fc+D", "a fully connected layer costs detail", fully_connected=True, **ABLATION),
)  # fmt: skip
