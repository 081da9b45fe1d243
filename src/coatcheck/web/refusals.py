"""Refusals that only the service knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..adapters.problems import NOT_LOGGED_IN, Problem, bearer_challenge, problem_of
from ..adapters.problems import Refusal as Refusal
from ..errors import CoatcheckError


def public_problem(error: CoatcheckError) -> Problem:
    """What a client may know of an error."""
    return problem_of(error)


def invalid_request(detail: str, status: int = 422) -> Refusal:
    """The request is not one of ours in form. ``detail`` names fields and never repeats what they held."""
    return Refusal(Problem(status, "invalid_request", detail))


def not_logged_in() -> Refusal:
    """Nothing was presented."""
    return Refusal(NOT_LOGGED_IN)


COOKIES_NEED_TLS: Final = Problem(
    400, "cookies_need_tls", "Over plain http our cookies are only for loopback addresses. Use https, or mode jwt."
)
COOKIES_NEED_SAME_SITE: Final = Problem(
    400, "cookies_need_same_site",
    "This page is on another site, where browsers keep no cookies of ours. Use a host of the same site, or mode jwt.",
)  # fmt: skip
PROXY_NOT_BELIEVED: Final = replace(
    COOKIES_NEED_TLS,
    detail="Our cookies need https. If you see https, the server does not believe the proxy before it: see its log.",
)
"""The same to a person who sees https before them."""
MODE_NOT_ALLOWED: Final = Problem(422, "mode_not_allowed", "This mode of logging in is not offered here.")
OWN_ACCOUNT: Final = Problem(409, "own_account", "You would lock yourself out. Ask another administrator to do it.")
TOO_LARGE: Final = Problem(413, "too_large", "The body is larger than 64 KiB.")
WRONG_TYPE: Final = Problem(415, "wrong_content_type", "This content type is not read here.")
NO_SERVICE_KEY: Final = Problem(
    401, "invalid_service_key", "A service key is needed: Authorization: Bearer <key>.", (bearer_challenge(),)
)
WRONG_SERVICE_KEY: Final = replace(NO_SERVICE_KEY, headers=(bearer_challenge("invalid_token"),))
FEED_LOST: Final = Problem(410, "feed_lost", "This cursor proves nothing here. Start again without one.")
TOO_MANY_FOLLOWERS: Final = Problem(
    503, "too_many_followers", "Too many are following the feed here already.", (("Retry-After", "1"),)
)

BY_STATUS: Final = {
    400: Problem(400, "bad_request", "The request cannot be read."),
    404: Problem(404, "not_found", "There is no such thing."),
    405: Problem(405, "method_not_allowed", "This method is not for this path."),
    413: TOO_LARGE,
    415: WRONG_TYPE,
}
"""Refusals that the framework makes."""
