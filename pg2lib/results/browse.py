"""Sliders of the notebooks: one function that draws, shown for every choice."""

import base64

from pg2lib.results.provenance import show


def browse(draw, last, first=0, lowest=0, name="index", **menus):
    """A slider and a menu for each list in `menus` (name -> values, or (values, initial value));
    `draw` is called with the chosen values by name and returns a Figure, or a text if there is
    none. last, first, lowest: the slider's largest, initial and smallest value. Where no widget can
    be shown, as in a saved notebook, the first drawing stands in for it."""
    from IPython.display import display
    from ipywidgets import Dropdown, IntSlider, interactive

    drawings = []

    def shown(**choice):
        drawn = draw(**choice)
        drawings.append(drawn if isinstance(drawn, str) else show(drawn))
        return drawings.pop() if len(drawings) > 1 else drawings[0]

    controls = {}
    for menu, values in menus.items():
        values, initial = values if isinstance(values, tuple) else (values, values[0])
        controls[menu] = Dropdown(options=values, value=initial)
    slider = IntSlider(int(first), lowest, int(last), continuous_update=False)
    live = interactive(shown, **controls, **{name: slider})
    display(standing_in(live._repr_mimebundle_(), drawings[0]), raw=True)
    return live


def standing_in(bundle: dict, picture) -> dict:
    """A widget's MIME bundle with a fallback IPython image, or text, for readers without it."""
    if isinstance(picture, str):
        return bundle | {"text/markdown": picture}
    return bundle | {"image/png": base64.b64encode(picture.data).decode()}
