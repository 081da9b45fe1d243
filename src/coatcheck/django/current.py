"""``coatcheck.django.auth``: it stands for the `Auth` of the settings as they are now."""

from __future__ import annotations

from typing import Any

from .. import blocking
from .conf import auth


class Current:
    """Is to everybody what `conf.auth` gives at that moment, also where a module has imported it before a test
    overrides the settings. They are not read before something is asked of it."""

    __slots__ = ("__weakref__",)

    @property  # type: ignore[misc]  # what mocks and proxies do
    def __class__(self) -> Any:  # pyright: ignore  # as above
        """For ``isinstance``, which needs no settings."""
        return blocking.Auth

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # whoever looks at modules asks everything for these
            raise AttributeError(name)
        return getattr(auth(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(auth(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(auth(), name)

    def __enter__(self) -> blocking.Auth:
        return auth().__enter__()

    def __exit__(self, *exc_info: object) -> None:
        auth().__exit__(*exc_info)

    def __repr__(self) -> str:
        return "<the Auth of COATCHECK>"

    def __eq__(self, other: object) -> bool:
        return self is other or auth() is other

    def __hash__(self) -> int:
        return hash(auth())
