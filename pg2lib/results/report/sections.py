"""The parts that every study has: which tables and figures, under which heading."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """A figure of a study: its name, its caption, and whether it shows people."""

    name: str
    caption: str
    people: bool = False

    @property
    def file(self) -> str:
        return f"{self.name}.png"


@dataclass(frozen=True)
class Section:
    """A part of a study: heading, the tables and figures in it, and what makes the tables if the
    study's own command does not."""

    heading: str
    tables: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    missing: str | None = None


SECTIONS = (
    Section("Table 1", ("table1",)),
    Section(
        "Table 2, the user study",
        ("table2",),
        (
            Picture(
                "user_study_check",
                "The arithmetic of the user study, on simulated participants of known rates.",
            ),
        ),
        missing="nobody has taken part in the user study of these images yet. "
        "`.venv/bin/jupyter lab notebooks/09_user_study.ipynb` opens it, and its last cells write "
        "Table 2 from the answers.",
    ),
    Section(
        "Figure 1",
        (),
        (
            Picture("figure1", "Figure 1: condition images in other poses.", True),
            Picture("figure1c", "Figure 1(c): one condition image through a sequence.", True),
            Picture(
                "studio_change",
                "Where the picture changes when one elbow moves: brighter is more.",
                True,
            ),
        ),
    ),
    Section(
        "Figure 3",
        (),
        (Picture("figure3", "Figure 3: from keypoints to the pose mask, step by step.", True),),
    ),
    Section(
        "Figure 4",
        (),
        (Picture("figure4", "Figure 4: the same test pairs through the rows of Table 1.", True),),
    ),
    Section(
        "Figure 6, failure cases",
        (),
        (
            Picture(
                "failures",
                "Figure 6: for each cause the test pair with the lowest score that has it, and "
                "one that has none.",
                True,
            ),
            Picture(
                "failure_effects",
                "What each cause costs: change of body-SSIM against the pairs without it, by "
                "itself and with the other causes held fixed.",
            ),
        ),
    ),
    Section(
        "Learning curves",
        (),
        (
            Picture("pose_embeddings_curves", "Stage I with the three pose embeddings."),
            Picture("mask_loss_curves", "Stage I without and with the mask in its loss."),
            Picture("two_stage_curves", "Stage I alone, and the stages with a discriminator."),
        ),
    ),
    Section(
        "The paper's claims",
        ("claims",),
        (
            Picture(
                "claims_effects",
                "Every comparison of the table above with its 95 % interval; in brackets the "
                "number of the claim, in grey where the claim wants the effect.",
            ),
            Picture("claims_convergence", "Painting a difference map against painting the image."),
            Picture("claims_ablations", "The ablations behind the claims, on test pairs.", True),
        ),
    ),
    Section(
        "Other scores",
        ("more_scores", "differences", "presets"),
        (
            Picture("scores", "Scores of Table 1 with intervals; diamonds are the paper's."),
            Picture("two_stage_scores", "The same of the coarse and the adversarial rows."),
            Picture(
                "pose_embeddings_shift",
                "How far the painted person moves when the pose is moved sideways.",
            ),
        ),
    ),
)
