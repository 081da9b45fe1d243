"""Litestar's response cache, for a handler with ``cache=...``: one person's page is never handed to another.

Litestar's own key is method, path and query. With it, what is answered to somebody logged in is not kept, and what is
kept is given to anonymous requests only: nobody knows whether a handler has looked at ``request.user``. An application
with a ``key_builder`` of its own tells people apart itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from litestar import Request
from litestar.config.response_cache import ResponseCacheConfig, default_cache_key_builder
from litestar.types import HTTPScope

from ..adapters.asgi import IDENTITY


def apart(config: ResponseCacheConfig) -> ResponseCacheConfig:
    """The configuration with which only anonymous requests have to do with the cache, where it has Litestar's key."""
    if config.key_builder is not default_cache_key_builder:
        return config
    accepts = config.cache_response_filter

    def key_builder(request: Request[Any, Any, Any]) -> str:
        key = default_cache_key_builder(request)
        return f"{key} of somebody, whose answers are not kept" if _is_somebody(request.scope) else key

    def cache_response_filter(scope: HTTPScope, status: int) -> bool:
        own: object = getattr(scope["route_handler"], "cache_key_builder", None)
        is_own = own is not None and own is not default_cache_key_builder
        return (is_own or not _is_somebody(scope)) and accepts(scope, status)

    return replace(config, key_builder=key_builder, cache_response_filter=cache_response_filter)


def _is_somebody(scope: Any) -> bool:
    return scope.get(IDENTITY) is not None
