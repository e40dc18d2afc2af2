"""What is trained: the rows of Table 1, the ablations, their stages, and the profiles.

A row is what the table prints; a stage is one training run. Rows that share a stage share its
weights: `G1+G2+D` refines the very G1 that `G1-poseMaskLoss` is.
"""

from dataclasses import asdict, dataclass, field, replace

from pg2lib.core.files import UserError
from pg2lib.data.dataset import DATASETS, DataConfig

DEFAULT_DATASET, DEFAULT_PROFILE = "synthetic-market", "quick"


@dataclass(frozen=True)
class Stage:
    """One training run, with everything that decides its result but the seed and the data."""

    name: str
    network: str = "G1"  # "G1", or "G2" on top of `coarse`
    pose: str = "concatenation"  # "concatenation", "CE" or "HME" (paper 3.1, 4.2)
    mask_weight: float = 1.0  # of M_B in the L1 loss: 1 is eq. 1, 0 plain L1
    adversarial: bool = False  # train against D
    l1_weight: float = 1.0  # lambda of eq. 4; 1 in stage I
    coarse: str | None = None  # the stage whose G1 paints I_B1
    # sizes
    height: int = 128
    width: int = 64
    channels: int = 128
    embedding: int = 64
    # where paper and released code differ: the paper's side is the default
    heatmap_values: str = "paper"  # paper: 0/1; "released": -1/+1
    heatmap_radius: float = 4.0  # pixels, at every size (paper 3.1)
    mask_variant: str = "released"  # the only published recipe; "scaled" grows with the image
    d_mode: str = "pair"  # paper: D sees pairs; "triplet": released code; "single": see ABLATIONS
    d_batch: str = "same"  # D learns from G's batch; "own": released code draws another
    d_sees_coarse: bool = False  # released code (Market): I_B1 joins D's batch statistics
    skip_full_res: bool = False  # released code: False for Market, True for DeepFashion
    # what the ablations change: the paper's side is the default
    residual: bool = True  # blocks of G1 add their input (3.1)
    g2_paints: str = "difference"  # or the whole "image" (3.2)
    fully_connected: bool = False  # at the bottleneck of G2 (3.2)
    # optimisation: Adam, batch and length (paper 4.1)
    iterations: int = 22_000
    batch: int = 16
    learning_rate: float = 2e-5
    d_learning_rate: float = 2e-5  # of D
    schedule: str = "constant"  # paper and released code; "cosine" falls to zero at the end
    beta1: float = 0.5
    beta2: float = 0.999
    threads: int = 0  # CPU threads while training; 0: all cores
    precision: str = "auto"  # "float32", "bfloat16", or bfloat16 where the device is fast at it
    compiled: str = "auto"  # "yes", "no", or through torch.compile on CUDA alone

    def as_dict(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Row:
    """A row of Table 1 under the paper's name, or an ablation: its stages, what the paper says of
    it, and for an ablation the row it is compared with."""

    name: str
    stages: tuple[str, ...]
    claim: str
    against: str | None = None


ROWS = {
    row.name: row
    for row in (
        Row("G1-CE-L1", ("G1-CE-L1",), "pose as coordinates: blurry, wrong colour, wrong poses"),
        Row("G1-HME-L1", ("G1-HME-L1",), "pose heatmaps through their own encoder: blurry"),
        Row("G1-L1", ("G1-L1",), "heatmaps beside the image: right pose and colour"),
        Row("G1-poseMaskLoss", ("G1-poseMaskLoss",), "the body weighs more: sharper, nicer colour"),
        Row("G1+D", ("G1+D",), "one stage against D: fewer details than two stages"),
        Row("G1+G2+D", ("G1-poseMaskLoss", "G2+D"), "two stages: sharper, more detail, lower SSIM"),
    )
}

# What the paper says of its parts but has no row for; each changes one thing of `against`.
ABLATIONS = {
    row.name: row
    for row in (
        Row("G1-noResidual", ("G1-noResidual",), "residual blocks help G1", "G1-poseMaskLoss"),
        *(
            Row(name, ("G1-poseMaskLoss", name), claim, "G1+G2+D")
            for name, claim in (
                ("G2-image+D", "a difference map converges faster than the whole image"),
                ("G2-unpaired+D", "a D that sees no pairs lets G2 copy the condition image"),
                ("G2-lambda-small+D", "a small lambda leaves artefacts"),
                ("G2-lambda-large+D", "a large lambda blurs"),
                ("G2-fc+D", "a fully connected layer costs G2 detail"),
            )
        ),
    )
}
EVERY_ROW = ROWS | ABLATIONS

# What makes each stage itself; the rest comes from the data set and the profile.
STAGE_TWO = dict(network="G2", adversarial=True, coarse="G1-poseMaskLoss")
STAGES = {
    "G1-CE-L1": dict(pose="CE", mask_weight=0.0),
    "G1-HME-L1": dict(pose="HME", mask_weight=0.0),
    "G1-L1": dict(mask_weight=0.0),
    "G1-poseMaskLoss": dict(),
    "G1+D": dict(adversarial=True),
    "G2+D": STAGE_TWO,
    "G1-noResidual": dict(residual=False),
    "G2-image+D": STAGE_TWO | dict(g2_paints="image"),
    "G2-unpaired+D": STAGE_TWO | dict(d_mode="single"),
    "G2-lambda-small+D": STAGE_TWO,
    "G2-lambda-large+D": STAGE_TWO,
    "G2-fc+D": STAGE_TWO | dict(fully_connected=True),
}
LAMBDA_FACTORS = {"G2-lambda-small+D": 0.01, "G2-lambda-large+D": 100.0}


@dataclass(frozen=True)
class Setting:
    """What the paper fixes per data set (4.1); lambda is the released code's."""

    height: int
    width: int
    batch: int
    iterations: tuple[int, int]  # stage I, stage II
    l1_weight: float
    skip_full_res: bool
    released_iterations: tuple[int, int]
    released_batch: int
    drawn: bool = False  # the project draws the images itself
    half: str = "market1501"  # the half of Table 1 that it belongs to


MARKET = Setting(128, 64, 16, (22_000, 14_000), 10.0, False, (22_000, 38_000), 16)
FASHION = Setting(
    256, 256, 8, (30_000, 20_000), 50.0, True, (22_000, 58_000), 1, half="deepfashion"
)
SETTINGS = {
    "synthetic-market": replace(MARKET, drawn=True),
    "synthetic-fashion": replace(FASHION, drawn=True),
    "market1501": MARKET,
    "deepfashion": FASHION,
}


@dataclass(frozen=True)
class Profile:
    """How much of everything. None leaves the paper's value (see Setting and Stage)."""

    name: str
    about: str
    channels: int = 128
    height: int | None = None  # of the images; the width follows the data set's shape
    iterations: tuple[int, int] | None = None  # stages with G1, stages with G2
    batch: int | None = None
    learning_rate: float = 2e-5
    adversarial_learning_rate: float = 2e-5  # of G in stages with D
    d_learning_rate: float = 2e-5
    schedule: str = "constant"
    l1_weight: float | None = None  # lambda of stages with D
    threads: int = 0  # 1: networks this small train faster side by side, one per core
    released: bool = False  # take the released code's side of every switch
    data: dict = field(default_factory=dict)  # DataConfig fields
    drawn_data: dict = field(default_factory=dict)  # the same, only for drawn data sets
    keypoint_network: dict = field(default_factory=dict)  # fields of pose_score.KeypointConfig
    fashion: dict = field(default_factory=dict)  # fields of this class that the larger images of
    # the DeepFashion half want otherwise


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "smoke",
            "the tests' size: everything runs, nothing is learnt; seconds",
            channels=4,
            iterations=(6, 4),
            batch=4,
            learning_rate=1e-3,
            adversarial_learning_rate=1e-3,
            d_learning_rate=1e-3,
            height=64,
            threads=1,
            data=dict(train_identities=6, test_identities=4, images_per_identity=4, test_pairs=24),
            keypoint_network=dict(channels=4, iterations=6, batch=4),
        ),
        Profile(
            "quick",
            "the default: the paper's comparisons at half the size, in minutes on two CPU cores",
            channels=24,
            iterations=(2_600, 1_000),
            batch=8,
            learning_rate=1e-3,
            adversarial_learning_rate=5e-4,
            d_learning_rate=1e-4,
            l1_weight=100.0,  # at lambda 10 so short a fight with D leaves little but artefacts
            schedule="cosine",
            height=64,
            threads=1,
            data=dict(test_identities=100, test_pairs=1_200),
            drawn_data=dict(train_identities=240, test_identities=300, images_per_identity=10),
            fashion=dict(iterations=(2_000, 800), batch=4, keypoint_network=dict(iterations=800)),
        ),
        Profile(
            "demo",
            "the generators that ship with the project: narrower than quick, twice as long",
            channels=16,
            iterations=(6_000, 2_500),
            batch=8,
            learning_rate=1e-3,
            adversarial_learning_rate=5e-4,
            d_learning_rate=1e-4,
            l1_weight=100.0,  # as in quick
            schedule="cosine",
            height=64,
            threads=1,
            data=dict(test_identities=40, test_pairs=400),
            drawn_data=dict(train_identities=240, images_per_identity=10),
            fashion=dict(batch=4),
        ),
        Profile(
            "lite",
            "a quarter of the paper's width and batch: hours on a CPU, minutes on a GPU",
            channels=32,
            iterations=(6_000, 4_000),
            batch=4,
            learning_rate=5e-4,
            adversarial_learning_rate=5e-4,
            d_learning_rate=1e-4,
            l1_weight=100.0,  # as in quick
            schedule="cosine",
            threads=1,
            keypoint_network=dict(rows=32),
            fashion=dict(batch=2),
        ),
        Profile(
            "paper",
            "the paper's sizes, iterations and learning rate",
            keypoint_network=dict(rows=32, channels=48, iterations=6_000, threads=0),
        ),
        Profile(
            "released",
            "the released code's side wherever it differs",
            released=True,
            keypoint_network=dict(rows=32, channels=48, iterations=6_000, threads=0),
        ),
    )
}


def drawn() -> list[str]:
    """The data sets that need no images from elsewhere, one for each half of Table 1."""
    return [name for name, setting in SETTINGS.items() if setting.drawn]


def choose(kind: str, name: str, choices) -> str:
    """name if it is one of choices, else a UserError that lists them."""
    if name not in choices:
        raise UserError(f"unknown {kind} {name!r}; choose one of: {', '.join(choices)}")
    return name


def stage(name: str, dataset: str = DEFAULT_DATASET, profile: str = DEFAULT_PROFILE) -> Stage:
    """The complete configuration of one stage."""
    own = STAGES[choose("stage", name, STAGES)]
    paper = SETTINGS[choose("data set", dataset, SETTINGS)]
    size = sized(profile, paper)
    adversarial = own.get("adversarial", False)
    lengths = size.iterations or (paper.released_iterations if size.released else paper.iterations)
    height, width = image_size(paper, size)
    weight = (size.l1_weight or paper.l1_weight) * LAMBDA_FACTORS.get(name, 1.0)
    chosen = Stage(
        name,
        **own,
        l1_weight=weight if adversarial else 1.0,
        height=height,
        width=width,
        channels=size.channels,
        skip_full_res=paper.skip_full_res,
        # G1+D, whose length the paper does not tell, is as long as the other stages with a G1
        iterations=lengths[own.get("network", "G1") == "G2"],
        batch=size.batch or (paper.released_batch if size.released else paper.batch),
        learning_rate=size.adversarial_learning_rate if adversarial else size.learning_rate,
        # a stage without D keeps the default: another rate for D must not train it again
        d_learning_rate=size.d_learning_rate if adversarial else Stage.d_learning_rate,
        schedule=size.schedule,
        threads=size.threads,
    )
    if size.released:
        chosen = replace(
            chosen,
            heatmap_values="released",
            d_mode="triplet" if chosen.d_mode == "pair" else chosen.d_mode,
            d_batch="own",
            d_sees_coarse=chosen.network == "G2" and paper.half == "market1501",
        )
    return chosen


def stage_names(rows) -> list[str]:
    """The stages of rows, each once, in an order in which they can be trained."""
    rows = [EVERY_ROW[choose("row", row, EVERY_ROW)] for row in rows]
    return list(dict.fromkeys(name for row in rows for name in row.stages))


def sized(profile: str, setting: Setting) -> Profile:
    """The profile, as it is for the half of Table 1 that a data set belongs to."""
    size = PROFILES[choose("profile", profile, PROFILES)]
    return replace(size, **size.fashion) if setting.half == "deepfashion" else size


def image_size(setting: Setting, profile: Profile) -> tuple[int, int]:
    """(height, width) of the images, in the data set's shape."""
    height = profile.height or setting.height
    return height, height * setting.width // setting.height


def stages(row: str, dataset: str = DEFAULT_DATASET, profile: str = DEFAULT_PROFILE):
    """The stages of a row in training order."""
    return tuple(stage(name, dataset, profile) for name in stage_names([row]))


def data_config(dataset: str, profile: str, seed: int = 0) -> DataConfig:
    """The data a profile takes of a data set."""
    choose("data set", dataset, DATASETS)
    paper = SETTINGS[dataset]
    size = sized(profile, paper)
    height, width = image_size(paper, size)
    fields = size.data | (size.drawn_data if paper.drawn else {})
    return DataConfig(dataset=dataset, height=height, width=width, seed=seed, **fields)


# Table 1 as printed (NIPS 2017; the poster has every cell).
PAPER_TABLE1 = {
    row: {
        "deepfashion": dict(ssim=values[0], inception=values[1]),
        "market1501": dict(
            ssim=values[2], inception=values[3], mask_ssim=values[4], mask_inception=values[5]
        ),
    }
    for row, values in {
        "G1-CE-L1": (0.694, 2.395, 0.219, 2.568, 0.771, 2.455),
        "G1-HME-L1": (0.735, 2.427, 0.294, 3.171, 0.802, 2.508),
        "G1-L1": (0.735, 2.427, 0.304, 3.006, 0.809, 2.455),
        "G1-poseMaskLoss": (0.779, 2.668, 0.340, 3.326, 0.817, 2.682),
        "G1+D": (0.761, 3.091, 0.283, 3.490, 0.803, 3.310),
        "G1+G2+D": (0.762, 3.090, 0.253, 3.460, 0.792, 3.435),
    }.items()
}
