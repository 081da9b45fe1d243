"""Words for times and devices, and colours that can be told apart."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.features.devices.pages import clean_label
from coatcheck.site import Site
from coatcheck.web.render import assets
from coatcheck.web.words import device_name, duration, moment

NOW = 1_800_000_000.0

AGENTS = {
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0": "Firefox on Linux",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 "
    "Edg/141.0.0.0": "Edge on Windows",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 "
    "Safari/605.1.15": "Safari on macOS",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 "
    "Mobile/15E148 Safari/604.1": "Safari on iPhone",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile "
    "Safari/537.36": "Chrome on Android",
    "curl/8.14.1": "curl",
    "python-httpx/0.28.1": "python-httpx",
    "MyApp/2.0 (build 7)": "MyApp",
    "": "Unknown device",
    "<img src=x onerror=alert(1)>": "Unknown device",
    "\u202eevil": "Unknown device",
}


@pytest.mark.parametrize(("agent", "name"), AGENTS.items())
def test_device_names(agent: str, name: str) -> None:
    """A device is called by its browser and system, or by the program's own name."""
    assert device_name(agent) == name


@given(st.text(max_size=3000))
def test_any_user_agent(agent: str) -> None:
    """Whatever a client calls itself, there is some name for it."""
    assert device_name(agent)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-30, "just now"),
        (0, "just now"),
        (119, "just now"),
        (120, "2 minutes ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (86399, "23 hours ago"),
        (86400, "1 day ago"),
        (86400 * 30, "30 days ago"),
        (86400 * 31, "on 15 December 2026"),
    ],
)
def test_times_in_words(seconds: float, words: str) -> None:
    """A time is told by its distance, and after a month by its date."""
    assert moment(NOW - seconds, NOW).words == words


def test_times_exactly() -> None:
    """The exact spellings are in UTC and say so."""
    told = moment(NOW, NOW)
    assert (told.machine, told.exact) == ("2027-01-15T08:00:00Z", "15 January 2027, 08:00 UTC")


@pytest.mark.parametrize(
    ("seconds", "words"), [(1, "a minute"), (60, "a minute"), (61, "2 minutes"), (900, "15 minutes"), (7200, "2 hours")]
)
def test_durations(seconds: int, words: str) -> None:
    """How long to wait is rounded up."""
    assert duration(seconds) == words


@given(st.text(max_size=200))
def test_labels(text: str) -> None:
    """A label is one short line without anything that could disturb the page around it, and cleaning it is final."""
    label = clean_label(text)
    assert len(label) <= 100
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]|^\s|\s$|\s\s", label)
    assert clean_label(label) == label


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    digits = colour.lstrip("#")
    digits = "".join(char * 2 for char in digits) if len(digits) == 3 else digits
    channels = [int(digits[index : index + 2], 16) / 255 for index in (0, 2, 4)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(scheme: str) -> None:
    """Text has a contrast of 4.5:1 and borders of fields 3:1 on what they stand on (WCAG AA), light and dark."""
    blocks = re.findall(r":root \{(.*?)\}", assets(Site())["coatcheck.css"].content.decode(), re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+);", blocks[["light", "dark"].index(scheme)]))
    text = [
        ("text", "page"), ("text", "card"), ("quiet", "page"), ("quiet", "card"), ("accent", "page"),
        ("accent", "card"), ("accent-strong", "card"), ("on-accent", "accent"), ("on-accent", "accent-strong"),
        ("tint-text", "tint"), ("bad", "card"), ("bad", "bad-tint"), ("bad", "page"),
    ]  # fmt: skip
    for front, back in text:
        assert contrast(colours[front], colours[back]) >= 4.5, (front, back)
    for front, back in [("field", "card"), ("accent", "page"), ("bad", "card")]:
        assert contrast(colours[front], colours[back]) >= 3, (front, back)


def test_css_is_ours_alone() -> None:
    """The style sheet fetches nothing."""
    css = assets(Site())["coatcheck.css"].content.decode()
    assert "url(" not in css
    assert "@import" not in css
