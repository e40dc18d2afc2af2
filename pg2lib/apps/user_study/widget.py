"""The user study in a notebook: the browser times it, Python keeps the answers.

`user_study.js` shows the images and measures; this class hands it one picture at a time, without
a word of what it is, and answers "saved" when an answer is on the disk. An answer that is sent
twice is kept once, so the browser may repeat it until it hears so.
"""

from pathlib import Path

import anywidget
import traitlets

from pg2lib.apps.user_study import rates as study_rates
from pg2lib.apps.user_study import study as user_study
from pg2lib.core.files import UserError
from pg2lib.results.figures import to_png_bytes

FOLDER = Path(__file__).parent


class UserStudy(anywidget.AnyWidget):
    """Real or generated? The study of one row, for one participant after the other.

    Args:
        sit: participant -> user_study.Sitting, for example a `functools.partial` of
            `user_study.sit`.
        picture: Trial -> uint8 (H, W, 3), see `user_study.pictures`.
        protocol: user_study.Protocol.
        participant: the name that is filled in.

    Messages from the browser: {do: "sit", participant}, {do: "leave"}, {do: "image", trial} and
    {do: "answer", participant, trial, answer, exposure_ms, response_ms, shown}. Messages to it:
    {seated: participant}, {image: trial, participant} with a PNG, {saved: trial, participant} and
    {failed: sentence}.
    """

    _esm = FOLDER / "widget.js"
    _css = FOLDER / "widget.css"

    suggested = traitlets.Unicode().tag(sync=True)  # a name to begin with
    participant = traitlets.Unicode().tag(sync=True)  # who sits here; "" before and after
    answered = traitlets.Int().tag(sync=True)  # answers on the disk
    total = traitlets.Int().tag(sync=True)
    practice = traitlets.Int().tag(sync=True)
    exposure = traitlets.Int().tag(sync=True)  # milliseconds
    where = traitlets.Unicode().tag(sync=True)  # the file of the answers
    result = traitlets.Dict().tag(sync=True)  # at the end: R2G and G2R, [wrong, of] each

    def __init__(self, sit, picture, protocol=user_study.PAPER, participant=""):
        super().__init__(
            suggested=participant,
            total=protocol.total,
            practice=protocol.practice,
            exposure=protocol.exposure_ms,
        )
        self.sit, self.picture = sit, picture
        self.sitting, self.pngs = None, []
        self.on_msg(lambda widget, content, buffers: self.receive(content))

    def receive(self, content):
        """Do what the browser asks; a user's mistake becomes a sentence on the page."""
        try:
            ACTIONS[content["do"]](self, content)
        except UserError as error:
            self.send({"failed": str(error)})

    def seat(self, content):
        """Let a participant sit down, or go on after an interruption."""
        name = content["participant"].strip()
        if name != self.participant:
            sitting = self.sit(name)
            # All before the first is shown: painting them one by one would tell them by the wait.
            self.pngs = [to_png_bytes(self.picture(trial)) for trial in sitting.trials]
            self.sitting, self.participant, self.where = sitting, name, str(sitting.path)
            self._tell()
        self.send({"seated": name})

    def leave(self, content):
        """Make room for the next participant."""
        self.sitting, self.pngs = None, []
        self.participant, self.answered, self.result = "", 0, {}

    def send_image(self, content):
        """Send the picture of a trial, and nothing about it."""
        trial = content["trial"]
        if 1 <= trial <= len(self.pngs):
            self.send({"image": trial, "participant": self.participant}, [self.pngs[trial - 1]])

    def take_answer(self, content):
        """Keep an answer, once, and say so."""
        if not self.sitting or content["participant"] != self.participant:
            raise UserError(
                f"{content['participant']} does not sit here any more: start again by that name."
            )
        if content["trial"] > self.sitting.answered:
            self.sitting.keep(
                *(content[key] for key in ("trial", "answer", "exposure_ms", "response_ms")),
                shown=content["shown"],
            )
            self._tell()
        self.send({"saved": content["trial"], "participant": self.participant})

    def _tell(self):
        self.answered = self.sitting.answered
        self.result = {}
        if self.sitting.finished:
            found = study_rates.rates(self.sitting.answers)
            self.result = {name: [rate["wrong"], rate["of"]] for name, rate in found.items()}


ACTIONS = {
    "sit": UserStudy.seat,
    "leave": UserStudy.leave,
    "image": UserStudy.send_image,
    "answer": UserStudy.take_answer,
}
