"""The user study in a notebook: the browser shows images and measures times, Python keeps answers.

`widget.js` gets one image at a time, without its kind, and sends each answer until Python confirms
that it is on the disk. An answer that arrives twice is recorded once.
"""

from pathlib import Path

import anywidget
import traitlets

from pg2lib.apps.user_study import rates as study_rates
from pg2lib.apps.user_study.study import PAPER
from pg2lib.core.files import UserError
from pg2lib.results.provenance import to_png_bytes

FOLDER = Path(__file__).parent


class UserStudy(anywidget.AnyWidget):
    """Real or generated? The study of one row, for one participant after another.

    start_session: participant -> study.Session, as a `functools.partial` of `study.start_session`;
    pictures: trials -> uint8 (H, W, 3) each, see `study.pictures`; participant: the suggested name.

    Messages to the browser: {started: participant}, {image: trial, participant} with a PNG, {saved:
    trial, participant} and {failed: sentence}. Messages from it: see `receive`.
    """

    _esm = FOLDER / "widget.js"
    _css = FOLDER / "widget.css"

    suggested = traitlets.Unicode().tag(sync=True)
    participant = traitlets.Unicode().tag(sync=True)  # of the current session, or ""
    answered = traitlets.Int().tag(sync=True)  # answers on the disk
    total = traitlets.Int().tag(sync=True)
    practice = traitlets.Int().tag(sync=True)
    exposure = traitlets.Int().tag(sync=True)  # milliseconds
    where = traitlets.Unicode().tag(sync=True)  # the file of the answers
    result = traitlets.Dict().tag(sync=True)  # when finished: R2G and G2R, [wrong, of] each

    def __init__(self, start_session, pictures, protocol=PAPER, participant=""):
        shown = {"practice": protocol.practice, "exposure": protocol.exposure_ms}
        super().__init__(suggested=participant, total=protocol.total, **shown)
        self.start_session, self.pictures = start_session, pictures
        self.session, self.pngs = None, []
        self.on_msg(lambda widget, content, buffers: self.receive(content))

    def receive(self, content):
        """Carry out a message of the browser; an error becomes a sentence on the page."""
        try:
            match content:
                case {"do": "start", "participant": str(name)}:
                    self.start(name.strip())
                case {"do": "leave"}:
                    self.session, self.pngs = None, []
                    self.participant, self.answered, self.result = "", 0, {}
                case {"do": "image", "trial": int(trial)}:  # without its kind
                    if 1 <= trial <= len(self.pngs):
                        message = {"image": trial, "participant": self.participant}
                        self.send(message, [self.pngs[trial - 1]])
                case {"do": "answer", "participant": name, "trial": int(trial), "answer": answer,
                      "exposure_ms": seen, "response_ms": took, "shown": shown}:  # fmt: skip
                    self.take_answer(name, trial, answer, seen, took, shown)
                case _:
                    raise UserError(f"The message {content} is invalid. Reload the page.")
        except UserError as error:
            self.send({"failed": str(error)})

    def start(self, name):
        """Start or resume the session of a participant."""
        if name != self.participant:
            session = self.start_session(name)
            # All at once: generating each on request would give it away by its delay.
            self.pngs = [to_png_bytes(image) for image in self.pictures(session.trials)]
            self.session, self.participant, self.where = session, name, str(session.path)
            self._update()
        self.send({"started": name})

    def take_answer(self, name, trial, *values):
        """Record an answer, once, and confirm it; values: see `Session.record`."""
        if not self.session or name != self.participant:
            raise UserError(f"the session of {name} has ended: start again under that name.")
        if trial > self.session.answered:
            self.session.record(trial, *values)
            self._update()
        self.send({"saved": trial, "participant": name})

    def _update(self):
        self.answered, self.result = self.session.answered, {}
        if self.session.finished:
            rates = study_rates.rates(self.session.answers)
            self.result = {name: [rate["wrong"], rate["of"]] for name, rate in rates.items()}
