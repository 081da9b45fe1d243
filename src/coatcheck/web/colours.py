"""The colours of the pages in an application's own: as they were given where text can be read in them, and darker or
lighter where it could not (WCAG 2.2, 1.4.3 and 1.4.11)."""

from __future__ import annotations

from typing import Final

Colour = tuple[float, float, float]
"""Red, green and blue, 0 to 1, as sRGB has them."""

CONTRAST: Final = 4.5
_BLACK: Final[Colour] = (0.0, 0.0, 0.0)
_WHITE: Final[Colour] = (1.0, 1.0, 1.0)
_LIGHT: Final = ("#ffffff", "#f4f5f3")
"""The card and the page of the stylesheet, in the light."""
_DARK: Final = ("#1a2220", "#111715")
_STEPS: Final = 50


def colour(text: str) -> Colour:
    """Of ``#rgb`` or ``#rrggbb``."""
    digits = text.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    red, green, blue = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    return red, green, blue


def shown(value: Colour) -> str:
    """As ``#rrggbb``."""
    return "#" + "".join(f"{round(part * 255):02x}" for part in value)


def contrast(one: Colour, other: Colour) -> float:
    """The ratio of WCAG, 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def stylesheet(text: str) -> str:
    """The variables of the stylesheet that the colour decides, in the light and in the dark."""
    given = colour(text)
    return (
        f":root{{{_variables(given, _LIGHT, _BLACK)}}}\n"
        f"@media (prefers-color-scheme: dark){{:root{{{_variables(given, _DARK, _WHITE)}}}}}\n"
    )


def _variables(given: Colour, grounds: tuple[str, str], towards: Colour) -> str:
    card, page = map(colour, grounds)
    accent = _readable(given, (card, page), towards)
    tint = _rounded(_mixed(card, accent, 0.12))
    strong = _rounded(_mixed(accent, towards, 0.25))
    return ";".join(
        (
            f"--accent:{shown(accent)}",
            f"--accent-strong:{shown(strong)}",
            f"--on-accent:{shown(_over((accent, strong)))}",
            f"--tint:{shown(tint)}",
            f"--tint-text:{shown(_readable(accent, (tint,), towards))}",
        )
    )


def _readable(given: Colour, grounds: tuple[Colour, ...], towards: Colour) -> Colour:
    """The colour nearest to the given one, on the way to black or white, in which text on these can be read."""
    for step in range(_STEPS + 1):
        found = _rounded(_mixed(given, towards, step / _STEPS))
        if all(contrast(found, ground) >= CONTRAST for ground in grounds):
            return found
    return towards


def _over(grounds: tuple[Colour, ...]) -> Colour:
    """Black or white, whichever can be read better on all of these."""
    return max((_WHITE, _BLACK), key=lambda text: min(contrast(text, ground) for ground in grounds))


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (a + (b - a) * share for a, b in zip(one, other, strict=True))
    return red, green, blue


def _rounded(value: Colour) -> Colour:
    """What is shown of it, so that it is this that is measured."""
    return colour(shown(value))


def _luminance(value: Colour) -> float:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in value)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
