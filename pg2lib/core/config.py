"""Data sets, profiles and overrides: the configuration of a study. Needs no torch.

A study is a data set, a profile, a seed and the overrides (`--set`). Each method derives its own
configuration from the profile (`models.base.Method.configure`).
"""

import ast
import dataclasses
import os
import re
import tomllib
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import get_args, get_origin

from pg2lib.core.files import UserError
from pg2lib.core.names import checked, suggestion
from pg2lib.core.seeds import parse_seeds, seeds_text

DEFAULT_DATASET, DEFAULT_PROFILE = "synthetic-market", "quick"


@dataclass(frozen=True)
class Setting:
    """A data set as the paper uses it (4.1): image size in pixels and half of Table 1."""

    height: int
    width: int  # DeepFashion: square in the paper and its code; later papers crop to 176
    half: str  # "market1501" or "deepfashion"
    drawn: bool = False  # the project draws the images itself
    own: bool = False  # the user's own photographs, with a frame of any shape


SETTINGS = {
    "synthetic-market": Setting(128, 64, "market1501", drawn=True),
    "synthetic-fashion": Setting(256, 256, "deepfashion", drawn=True),
    "market1501": Setting(128, 64, "market1501"),
    "deepfashion": Setting(256, 256, "deepfashion"),
    "folder": Setting(128, 64, "market1501", own=True),
}


@dataclass(frozen=True)
class DataConfig:
    """Which images, people and pairs; the defaults are the whole synthetic set."""

    dataset: str = "synthetic-market"  # one of SETTINGS
    height: int = 128
    width: int = 64
    train_identities: int | None = None  # None: all (synthetic: 751; Market: all but test)
    test_identities: int = 100  # unused if the official test images are present
    images_per_identity: int | None = None  # at most; None: as in Market-1501
    test_pairs: int = 12_000  # drawn without replacement from all ordered test pairs
    seed: int = 0
    # Frame of DeepFashion's keypoints: "256x256" (PATN), "176x256" (its -resize- and other
    # copies), or "detect" from the joints' positions. The released code has its own keypoints.
    keypoint_frame: str = "detect"

    def as_dict(self) -> dict:
        """The fields that determine a store's content."""
        fields = asdict(self)
        if self.dataset != "deepfashion":
            del fields["keypoint_frame"]
        return fields


@dataclass(frozen=True)
class Profile:
    """The size of images, data and training. None means the paper's value, set by each method."""

    name: str
    about: str
    channels: int = 128
    height: int | None = None  # of the images; the width follows the data set's shape
    iterations: tuple[int, int] | None = None  # first stages, stages that refine another
    unrefined: int | None = None  # first stages that no row refines, if not as long as the others
    batch: int | None = None
    threads: int = 0  # 1: networks this small train faster side by side, one per core
    training: dict = field(default_factory=dict)  # fields of every method's config
    adversarial: dict = field(default_factory=dict)  # more fields of methods trained against a D
    refining: dict = field(default_factory=dict)  # more fields of methods that refine another
    released: bool = False  # take the released code's side of every switch
    data: dict = field(default_factory=dict)  # DataConfig fields
    drawn_data: dict = field(default_factory=dict)  # the same, for drawn data sets only
    keypoint_network: dict = field(default_factory=dict)  # pose_score.KeypointConfig fields
    fashion: dict = field(default_factory=dict)  # fields of this class for the DeepFashion half


# Settings for short trainings; docs/records.md has the trials. With so few adversarial steps
# lambda = 10 leaves artefacts.
SMALL = dict(
    channels=16, batch=8, height=64, threads=1,
    # average: needed by D, but set for every row, so that rows differ only as intended
    training=dict(learning_rate=1e-3, schedule="linear", warmup=0.04, average=0.998),
    adversarial=dict(l1_weight=100.0, feature_matching=50.0, d_kernel=4,
                     d_output="patch", d_norm="spectral", d_padding="reflect",
                     d_learning_rate=1e-4),
    refining=dict(learning_rate=5e-4, g2_init="zero"),
)  # fmt: skip
# The same at the paper's image size: 100,000 pairs in a first stage, 60,000 in the second.
WIDE = SMALL | dict(
    channels=32, batch=16, height=None, training=SMALL["training"] | dict(learning_rate=5e-4),
    keypoint_network=dict(rows=32), fashion=dict(batch=4),
)  # fmt: skip
LARGE_KEYPOINTS = dict(rows=32, channels=48, iterations=6_000, threads=0)
# fmt: off
PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "smoke", "the tests' size: everything runs, nothing is learnt",
            channels=4, iterations=(6, 4), batch=4, height=64, threads=1,
            training=dict(learning_rate=1e-3), adversarial=dict(d_learning_rate=1e-3),
            data=dict(train_identities=6, test_identities=4, images_per_identity=4, test_pairs=24),
            keypoint_network=dict(channels=4, iterations=6, batch=4),
        ),
        Profile(
            "quick",
            "the default: the paper's comparisons at half the size, in minutes on two CPU cores",
            iterations=(2_800, 3_000), **SMALL,
            data=dict(test_identities=100, test_pairs=1_200),
            drawn_data=dict(train_identities=240, test_identities=300, images_per_identity=10),
            fashion=dict(batch=4, keypoint_network=dict(iterations=800)),
        ),
        Profile(
            "demo", "the generators that ship with the project: as lite, with more drawn people",
            iterations=(6_250, 3_750), unrefined=3_750, **WIDE | dict(
                training=WIDE["training"] | dict(structural=1.0),
                adversarial=SMALL["adversarial"] | dict(structural=100.0),
                refining=SMALL["refining"] | dict(structural=300.0),
                fashion=dict(height=128, batch=16, threads=0, iterations=(2_500, 1_875),
                             unrefined=1_875, refining=SMALL["refining"])),
            data=dict(test_identities=100, test_pairs=1_200),
            drawn_data=dict(train_identities=2_000, images_per_identity=10),
        ),
        Profile("lite", "a quarter of the paper's width: hours on a CPU, minutes on a GPU",
                iterations=(6_250, 3_750), **WIDE),
        Profile("paper", "the paper's sizes, iterations, learning rate and float32",
                training=dict(precision="float32"), data=dict(test_pairs=12_800),
                keypoint_network=LARGE_KEYPOINTS),
        # Not carried: uint8 by truncation, DeepFashion's halved adversarial term, the order of the
        # data, padding on one side, its 400 DeepFashion test pairs, D's one pass in G1+D; and
        # scores through the condition's mask only with --mask-from condition.
        Profile("released", "the released code's side of every switch that training has",
                released=True, training=dict(precision="float32"), data=dict(test_pairs=12_800),
                keypoint_network=LARGE_KEYPOINTS),
    )
}
# fmt: on


@lru_cache
def load_profile(name: str) -> Profile:
    """Return a profile by its name, or from a user's TOML file.

    The file holds fields of `Profile` and `base`, the profile they change (default: quick). The
    profile is named after the file.

    Raises UserError for an unknown profile, or a file that is missing, invalid or has an unknown
    field.
    """
    if not name.endswith(".toml"):
        return PROFILES[require_in("profile", name, PROFILES, " or name a .toml file")]
    try:
        fields = tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the profile {name}: {error}") from None
    stem = Path(name).stem
    if stem in PROFILES or not re.fullmatch(r"[\w.]+", stem):
        raise UserError(
            f"{name}: a profile of your own needs a name of letters, digits, _ and ., other than "
            f"{', '.join(PROFILES)}; rename the file"
        )
    check_type(f"{name}: base", base := fields.pop("base", DEFAULT_PROFILE), str)
    base = PROFILES[require_in("profile", base, PROFILES)]
    for part in (fields, fields.get("fashion")):
        if isinstance(part, dict) and (lengths := part.get("iterations")) is not None:
            if not isinstance(lengths, list) or [type(one) for one in lengths] != [int, int]:
                raise UserError(f"{name}: iterations is {lengths!r}; write two whole numbers")
            part["iterations"] = tuple(lengths)
    about = {"about": f"{base.name}, changed by {Path(name).name}"}
    for key, value in fields.items():
        if isinstance(value, dict) and isinstance(getattr(base, key, None), dict):
            fields[key] = getattr(base, key) | value
    return with_fields(base, about | fields | {"name": stem}, name)


@dataclass(frozen=True)
class Study:
    """One experiment. source is the folder of the real data (default: $PG2_DATA); device is "cpu",
    "cuda" (default: if available) or, for generating, "mps"; overrides are "FIELD=VALUE" or
    "METHOD.FIELD=VALUE" (see `override`).

    The seed sets initialisation, batch order and the choice of examples. The seeds of a study share
    the data, the test pairs and the keypoint network (the override `data.seed=N` draws other data).
    """

    dataset: str = DEFAULT_DATASET
    profile: str = DEFAULT_PROFILE  # a name, or the path of a TOML file
    seeds: tuple[int, ...] = (0,)  # one training of every row each; also an int or "0,1,2"
    source: str | None = None
    device: str | None = None
    keypoint_frame: str = "detect"  # of DeepFashion's annotation, see DataConfig
    overrides: tuple[str, ...] = ()
    parsing: str | None = None  # "ORDER:FOLDER" of parsing maps of the user's own

    def __post_init__(self):
        check_type("dataset", self.dataset, str)
        check_type("profile", self.profile, str)
        require_in("data set", self.dataset, SETTINGS)
        load_profile(self.profile)
        if self.device and not re.fullmatch(r"(cpu|cuda|mps)(:\d+)?", self.device):
            raise UserError(f"unknown device {self.device!r}; choose cpu, cuda or mps")
        object.__setattr__(self, "seeds", parse_seeds(self.seeds))
        if isinstance(self.overrides, str):
            object.__setattr__(self, "overrides", tuple(self.overrides.split()))
        check_type("overrides", self.overrides, list | tuple)
        for text in self.overrides:
            check_type("one of the overrides", text, str)
        last = {text.partition("=")[0]: text for text in self.overrides}  # the last one counts
        object.__setattr__(self, "overrides", tuple(sorted(last.values())))
        parse_overrides(self.overrides)

    @property
    def seed(self) -> int:
        """The first seed; pictures are shown for this one."""
        return self.seeds[0]

    def each(self) -> "list[Study]":
        """One study per seed."""
        return [replace(self, seeds=(seed,)) for seed in self.seeds]

    @property
    def setting(self) -> Setting:
        return SETTINGS[self.dataset]

    @property
    def folder(self) -> str | None:
        """The folder of the real images, or None if not set."""
        return self.source or os.environ.get("PG2_DATA") or None

    @property
    def data_name(self) -> str:
        """The data set's name in tables and captions; the user's own is named by its folder."""
        own = self.setting.own and self.folder
        return f"{self.dataset}: {Path(own).resolve().name}" if own else self.dataset

    @property
    def profile_name(self) -> str:
        return load_profile(self.profile).name

    @property
    def changes(self) -> str:
        """The profile and its overrides as text: "quick (iterations=500)"."""
        changed = ", ".join(self.overrides)
        return self.profile_name + (f" ({changed})" if changed else "")

    @property
    def name(self) -> str:
        """Name of the study's figures folder."""
        changed = re.sub(r"[^\w.=+,-]", "_", ",".join(self.overrides))
        return self.runs_name + (f"-{changed}" if changed else "")

    @property
    def runs_name(self) -> str:
        """Name of the study's folders in the run store, without overrides: a step they do not
        affect is shared."""
        seed = "" if self.seeds == (0,) else f"-seed{seeds_text(self.seeds)}"
        data = re.sub(r"[^\w.+-]+", "-", self.data_name)
        return f"{data}-{self.profile_name}{seed}"

    @property
    def command(self) -> str:
        """The command that reproduces the study's figures and tables."""
        changed = f' SET="{" ".join(self.overrides)}"' if self.overrides else ""
        seeds = ",".join(map(str, self.seeds))
        seed = "" if self.seeds == (0,) else f" SEEDS={seeds}"
        profile = Path(self.profile).name  # of a user's file: the name, not this machine's path
        return f"make reproduce DATASET={self.dataset} PROFILE={profile}{seed}{changed}"


def named_study(options, dataset: str | None = None) -> Study:
    """The `Study` of a command's options, with `dataset` instead if given. Raises UserError, with
    the nearest name, for an unknown one."""
    pairs = [] if options.test_pairs is None else [f"test_pairs={options.test_pairs}"]
    dataset, profile = dataset or options.dataset, options.profile or DEFAULT_PROFILE
    checked("data set", dataset, [*SETTINGS, *["all"] * (options.command == "reproduce")])
    if profile.endswith(".toml"):
        profile = str(Path(profile).resolve())  # notebooks run in another folder
    else:
        checked("profile", profile, PROFILES, " or name a .toml file")
    return Study(
        dataset, profile, options.seeds, options.data, options.device,
        options.keypoint_frame, (*options.set, *pairs), options.parsing,
    )  # fmt: skip


def study_from_environment(dataset=None, profile=None, seeds=0, overrides=()) -> Study:
    """A study. Missing arguments come from $PG2_DATASET, $PG2_PROFILE and $PG2_SET, else the
    defaults; the rest from $PG2_DEVICE, $PG2_KEYPOINT_FRAME and $PG2_PARSING."""
    return Study(
        dataset or os.environ.get("PG2_DATASET") or DEFAULT_DATASET,
        profile or os.environ.get("PG2_PROFILE") or DEFAULT_PROFILE,
        seeds,
        device=os.environ.get("PG2_DEVICE") or None,
        keypoint_frame=os.environ.get("PG2_KEYPOINT_FRAME") or "detect",
        overrides=overrides or os.environ.get("PG2_SET") or (),
        parsing=os.environ.get("PG2_PARSING") or None,
    )


def drawn() -> list[str]:
    """The data sets that need no external images, one for each half of Table 1."""
    return [name for name, setting in SETTINGS.items() if setting.drawn]


def require_in(kind: str, name: str, choices, remedy: str = "") -> str:
    """Return name. Raises UserError, listing the choices, if it is not one of them."""
    if name not in choices:
        raise UserError(f"unknown {kind} {name!r}; choose one of: {', '.join(choices)}{remedy}")
    return name


def sized(study: Study) -> tuple[Setting, Profile]:
    """The data set at the study's image size, and the profile adapted to it."""
    setting, profile = study.setting, load_profile(study.profile)
    if setting.half == "deepfashion":
        profile = with_fields(profile, profile.fashion, f"profile {profile.name}: fashion")
    changed = parse_overrides(study.overrides)
    height = changed.get((None, "height"), profile.height)
    height = setting.height if height is None else height
    check_type("height", height, int)
    width = height * setting.width // setting.height
    if setting.own and (None, "width") in changed:
        width, step = changed[None, "width"], max(1, height // 8)
        check_type("width", width, int)
        if width < step or width % step:
            near = max(1, round(width / step)) * step
            raise UserError(
                f"a width of {width} at a height of {height} cannot be halved as often "
                f"as the networks do; choose a multiple of {step}, for example {near}"
            )
    return replace(setting, height=height, width=width), profile


def data_config(study: Study) -> DataConfig:
    """The configuration of the study's data."""
    setting, profile = sized(study)
    fields = profile.data | (profile.drawn_data if setting.drawn else {})
    config = DataConfig(study.dataset, setting.height, setting.width)
    if fixed := {*FIXED, "height"} & set(fields):
        raise UserError(f"profile {profile.name}: data: leave out {min(fixed)}")
    config = with_fields(config, fields, f"profile {profile.name}: data")
    return override(replace(config, keypoint_frame=study.keypoint_frame), study.overrides, "data")


# ---------------------------------------------------------------- values changed by hand

FIXED = ("dataset", "width", "keypoint_frame")  # set by fields of the study
OWNED = ("seed",)  # only with the owner's name: `data.seed`, not the training seed


def parse_overrides(overrides) -> dict[tuple[str | None, str], object]:
    """{(method or None, field): value} of "FIELD=VALUE" and "METHOD.FIELD=VALUE" strings.

    Values are Python literals (500, 1e-3, True, None), else strings. Raises UserError if malformed.
    """
    parsed = {}
    for text in overrides:
        name, equals, value = text.partition("=")
        owner, _, key = name.rpartition(".")
        if not equals or not key.isidentifier():
            raise UserError(f"--set {text} is not FIELD=VALUE; write for example iterations=500")
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            pass  # a plain string
        parsed[owner or None, key] = value
    return parsed


def override(config, overrides, owner: str):
    """Apply the overrides without an owner, or with this one ("data", "keypoints" or a method), to
    a frozen config. Raises UserError for a value of the wrong type."""
    fields, changed = {f.name: f.type for f in dataclasses.fields(config)}, {}
    parsed = parse_overrides(overrides)
    for name in (None, owner):  # a method's own override beats the general one
        for (whose, key), value in parsed.items():
            barred = (*FIXED, "height") if whose else (*FIXED, *OWNED, "height")
            if whose == name and key in fields and key not in barred:
                kind = fields[key]
                if kind is float and type(value) is int:
                    value = float(value)
                check_type(f"--set {key}", value, kind)
                changed[key] = value
    return replace(config, **changed) if changed else config


def with_fields(config, fields: dict, where: str):
    """A frozen config with some fields changed. Raises UserError, naming `where`, for an unknown
    field or a value of the wrong type."""
    known = {f.name: f.type for f in dataclasses.fields(config)}
    for name, value in fields.items():
        if name not in known:
            raise UserError(f"{where}: unknown field {name!r}; fields are {', '.join(known)}")
        check_type(f"{where}: {name}", value, known[name])
    return replace(config, **fields)


def check_overrides(overrides, configs: dict, named_only: dict, setting=None):
    """Raise UserError for an override without effect. configs and named_only map owner -> config;
    those in named_only change only if an override names them. The width may change too for the
    user's own images (`setting.own`)."""
    for owner, key in parse_overrides(overrides):
        reached = configs | named_only if owner else configs
        of = [config for name, config in reached.items() if owner in (None, name)]
        known = {f.name for config in of for f in dataclasses.fields(config)} - set(FIXED)
        known -= set() if owner else set(OWNED)
        known |= {"width"} if setting and setting.own and not owner else set()
        if owner and not of:
            near = suggestion(owner, sorted(reached))
            raise UserError(f"--set {owner}.{key}: there is no method {owner}{near}")
        if key not in known or (owner and key == "height"):
            near = suggestion(key, sorted(known))
            raise UserError(
                f"--set {key}: no such field{f' of {owner}' if owner else ''}{near}"
                f"{'? The' if near else ';'} fields are {', '.join(sorted(known))}"
            )


def check_type(name: str, value, kind):
    """Raise UserError unless value has the annotated type; an int may serve as a float."""
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    allowed = tuple(get_origin(one) or one for one in kinds)
    allowed += (int,) if float in allowed else ()
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        wanted = " or ".join(one.__name__ for one in allowed)
        raise UserError(f"{name} is {value!r}; it must be of type {wanted}")


def changed_fields(config) -> dict:
    """The fields of a dataclass that differ from their defaults. Run keys use only these, so a new
    field with a default invalidates no run."""
    return {
        f.name: getattr(config, f.name)
        for f in dataclasses.fields(config)
        if getattr(config, f.name) != f.default
    }
