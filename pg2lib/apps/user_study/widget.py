"""The user study in a notebook: the browser shows images and measures times, Python keeps answers.

`widget.js` gets one image at a time, without its kind, and sends each answer until Python confirms
that it is on the disk. An answer that arrives twice is recorded once.
"""

from pathlib import Path

import traitlets

from pg2lib.apps import anywidget_library
from pg2lib.apps.user_study import rates as study_rates
from pg2lib.apps.user_study.study import PAPER
from pg2lib.core.files import UserError
from pg2lib.results.provenance import to_png_bytes

FOLDER = Path(__file__).parent


class UserStudy(anywidget_library().AnyWidget):
    """Real or generated? The study of one row, for one participant after another.

    Args:
        start_session: participant -> study.Session, for example a `functools.partial` of
            `study.start_session`.
        picture: Trial -> uint8 (H, W, 3), see `study.pictures`.
        protocol: study.Protocol.
        participant: the suggested name.

    Messages from the browser: {do: "start", participant}, {do: "leave"}, {do: "image", trial} and
    {do: "answer", participant, trial, answer, exposure_ms, response_ms, shown}. Messages to it:
    {started: participant}, {image: trial, participant} with a PNG, {saved: trial, participant} and
    {failed: sentence}.
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

    def __init__(self, start_session, picture, protocol=PAPER, participant=""):
        super().__init__(
            suggested=participant,
            total=protocol.total,
            practice=protocol.practice,
            exposure=protocol.exposure_ms,
        )
        self.start_session, self.picture = start_session, picture
        self.session, self.pngs = None, []
        self.on_msg(lambda widget, content, buffers: self.receive(content))

    def receive(self, content):
        """Carry out a message of the browser; an error becomes a sentence on the page."""
        try:
            ACTIONS[content["do"]](self, content)
        except UserError as error:
            self.send({"failed": str(error)})
        except (KeyError, TypeError, AttributeError) as error:
            self.send({"failed": f"The message {content} is invalid ({error!r}). Reload the page."})

    def start(self, content):
        """Start or resume the session of a participant."""
        name = content["participant"].strip()
        if name != self.participant:
            session = self.start_session(name)
            # All at once: generating each on request would give it away by its delay.
            self.pngs = [to_png_bytes(self.picture(trial)) for trial in session.trials]
            self.session, self.participant, self.where = session, name, str(session.path)
            self._update()
        self.send({"started": name})

    def leave(self, content):
        """End the session, so that the next participant can start."""
        self.session, self.pngs = None, []
        self.participant, self.answered, self.result = "", 0, {}

    def send_image(self, content):
        """Send the image of a trial, without its kind."""
        trial = content["trial"]
        if 1 <= trial <= len(self.pngs):
            self.send({"image": trial, "participant": self.participant}, [self.pngs[trial - 1]])

    def take_answer(self, content):
        """Record an answer, once, and confirm it."""
        if not self.session or content["participant"] != self.participant:
            raise UserError(
                f"the session of {content['participant']} has ended: start again under that name."
            )
        if content["trial"] > self.session.answered:
            names = ("trial", "answer", "exposure_ms", "response_ms", "shown")
            self.session.record(*(content[name] for name in names))
            self._update()
        self.send({"saved": content["trial"], "participant": self.participant})

    def _update(self):
        self.answered = self.session.answered
        self.result = {}
        if self.session.finished:
            rates = study_rates.rates(self.session.answers)
            self.result = {name: [rate["wrong"], rate["of"]] for name, rate in rates.items()}


ACTIONS = {
    "start": UserStudy.start,
    "leave": UserStudy.leave,
    "image": UserStudy.send_image,
    "answer": UserStudy.take_answer,
}
