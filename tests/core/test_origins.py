"""Origins in canonical form, and which of them a policy may list."""

from __future__ import annotations

import pytest

from coatcheck import ConfigurationError, Policy
from coatcheck.origins import canonical


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://app.example", "https://app.example"),
        ("HTTPS://App.Example", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("https://app.example:80", "https://app.example:80"),
        ("https://app.example:08443", "https://app.example:8443"),
        ("https://app.example.", "https://app.example"),
        ("https://app.example.:443", "https://app.example"),
        ("https://127.0.0.1:8000", "https://127.0.0.1:8000"),
        ("https://[0:0::1]:443", "https://[::1]"),
        ("https://[2001:DB8::1]", "https://[2001:db8::1]"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("Tauri://LocalHost", "tauri://localhost"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("null", None),
        ("", None),
        ("https://", None),
        ("app.example", None),
        ("https://app.example/", None),
        ("https://app.example/path", None),
        ("https://app.example?x", None),
        ("https://ann@app.example", None),
        ("https://app.example:x", None),
        ("https://app.example:65536", None),
        ("https://app..example", None),
        ("https://app example", None),
        ("https://127.1", None),
        ("https://1.2.3.256", None),
        ("https://[::1", None),
        ("https://a.example,https://b.example", None),
        ("https://m\u00fcnchen.example", None),
    ],
)
def test_canonical_form(text: str, expected: str | None) -> None:
    """An origin is written as browsers write it; what is none has no form."""
    assert canonical(text) == expected
    assert expected is None or canonical(expected) == expected


def test_listed_origins_are_canonical() -> None:
    """However a policy spells them, they are kept as browsers send them; also names beyond ASCII."""
    listed = (
        "https://App.Example:443",
        "https://m\u00fcnchen.example",
        "https://stra\u00dfe.example.",
        "tauri://localhost",
    )
    assert Policy(origins=listed).origins == (
        "https://app.example", "https://xn--mnchen-3ya.example", "https://xn--strae-oqa.example", "tauri://localhost",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("origin", "why"),
    [
        ("https://*.example", "can never match"),
        ("*", "can never match"),
        ("null", "every sandboxed page"),
        ("https://app.example/", "is not an origin"),
        ("app.example", "is not an origin"),
        ("https://app.example/path", "is not an origin"),
        ("file://", "is not an origin"),
        ("wss://app.example", "is not an origin"),
        ("https://a b", "is not an origin"),
        ("https://127.1", "is not an origin"),
        (" https://app.example", "is not an origin"),
        (7, "is not a text"),
    ],
)
def test_what_can_never_match(origin: object, why: str) -> None:
    """What no browser ever sends is refused when the policy is made, with the reason."""
    with pytest.raises(ConfigurationError, match=f"policy.origins: .*{why}"):
        Policy(origins=(origin,))  # type: ignore[arg-type]


def test_one_text_is_no_list() -> None:
    """A text in the place of the list is refused, and not taken for its letters."""
    with pytest.raises(ConfigurationError, match="must be a list"):
        Policy(origins="https://app.example")  # type: ignore[arg-type]
