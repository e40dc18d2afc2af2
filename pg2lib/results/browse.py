"""Sliders of the notebooks: one function that draws, shown for every choice."""

from pg2lib.results.provenance import show


def browse(draw, last, first=0, lowest=0, name="index", **menus):
    """A slider and a menu for each list in `menus` (name -> values, or (values, initial value));
    `draw` is called with the chosen values by name and returns a Figure, or a text if there is
    none. last, first, lowest: the slider's largest, initial and smallest value."""
    from ipywidgets import Dropdown, IntSlider, interact

    def shown(**choice):
        drawn = draw(**choice)
        return drawn if isinstance(drawn, str) else show(drawn)

    controls = {}
    for menu, values in menus.items():
        values, initial = values if isinstance(values, tuple) else (values, values[0])
        controls[menu] = Dropdown(options=values, value=initial)
    slider = IntSlider(int(first), lowest, int(last), continuous_update=False)
    return interact(shown, **controls, **{name: slider})
