"""Training seeds: parsing, and their text in folder names."""

from pg2lib.core.files import UserError


def parse_seeds(seeds) -> tuple[int, ...]:
    """Seeds as a tuple, from an int, a text like "0,1,2" or "0-4,7", or a sequence. Raises
    UserError unless they are distinct integers of at least 0."""
    texts = seeds.split(",") if isinstance(seeds, str) else seeds
    texts = list(texts) if isinstance(texts, list | tuple | range) else [texts]
    try:
        numbers = tuple(number for text in texts for number in _span(str(text)))
    except (ValueError, OverflowError):
        numbers = ()
    if not numbers or len(set(numbers)) < len(numbers):
        raise UserError(f"seeds {seeds!r} are not different whole numbers; write for example 0,1,2")
    return numbers


def _span(text: str) -> range:
    """The integers of "7" or "0-4", at most a thousand."""
    first, dash, last = text.partition("-")
    numbers = range(int(first), int(last if dash else first) + 1)
    if not 0 < len(numbers) <= 1000:
        raise ValueError(text)
    return numbers


def seeds_text(seeds) -> str:
    """Seeds as a short text: "3", "s0-4" or "s0,2,5"."""
    if len(seeds) == 1:
        return str(seeds[0])
    row = list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return "s" + (f"{seeds[0]}-{seeds[-1]}" if row else ",".join(map(str, seeds)))
