"""How routes describe themselves in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import UnionType
from typing import Any, Final

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from ..adapters.problems import CONTENT_TYPE
from .answers import Answer

COOKIE_OR_BEARER: Final[list[dict[str, list[str]]]] = [
    {"sessionCookie": []}, {"accessCookie": []}, {"bearer": []},
]  # fmt: skip
SERVICE_KEY: Final[list[dict[str, list[str]]]] = [{"serviceKey": []}]
NOBODY: Final[list[dict[str, list[str]]]] = []

SECURITY_SCHEMES: Final = {
    "sessionCookie": {"type": "apiKey", "in": "cookie", "name": "__Host-coatcheck", "description": "Mode session."},
    "accessCookie": {
        "type": "apiKey", "in": "cookie", "name": "__Host-coatcheck-access", "description": "Mode jwt-cookie.",
    },
    "refreshCookie": {
        "type": "apiKey", "in": "cookie", "name": "__Secure-coatcheck-refresh", "description": "Mode jwt-cookie.",
    },
    "attemptCookie": {
        "type": "apiKey", "in": "cookie", "name": "__Secure-coatcheck-attempt", "description": "A login under way.",
    },
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "Mode jwt."},
    "serviceKey": {"type": "http", "scheme": "bearer", "description": "A key from the service's configuration."},
}  # fmt: skip

_PROBLEM: Final = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_TEXT: Final = {"schema": {"type": "string"}, "required": True}
_PROBLEM_HEADERS: Final = {
    401: {"WWW-Authenticate": _TEXT},
    403: {"WWW-Authenticate": {"schema": {"type": "string"}, "required": False}},
    429: {"Retry-After": _TEXT},
    503: {"Retry-After": _TEXT},
}


def described(
    answers: Mapping[int, type[Answer] | UnionType | type[Response] | str],
    *,
    problems: tuple[int, ...] = (),
    security: list[dict[str, list[str]]] = NOBODY,
    json: type[BaseModel] | None = None,
    form: Mapping[str, bool] | None = None,
    optional: bool = False,
) -> dict[str, Any]:
    """Keyword arguments of a route. ``answers``: status → model, or a sentence where there is no body, or the class of
    a response that is no JSON. ``form``: field → whether it is required. ``optional``: the request may also have no
    body. Every route may answer 500 and 503."""
    extra: dict[str, Any] = {"security": security}
    content: dict[str, Any] = {}
    if json is not None:
        content["application/json"] = {"schema": json.model_json_schema()}
    if form is not None:
        content["application/x-www-form-urlencoded"] = {"schema": _form_schema(form)}
    if content:
        extra["requestBody"] = {"required": not optional, "content": content}
    responses: dict[int, Any] = {}
    for status, answer in answers.items():
        if isinstance(answer, str):
            responses[status] = {"description": answer}
        elif isinstance(answer, type) and issubclass(answer, Response):
            responses[status] = {"description": HTTPStatus(status).phrase}
        else:
            responses[status] = {"description": HTTPStatus(status).phrase, "model": answer}
    for status in sorted({*problems, 500, 503}):
        responses[status] = {"description": HTTPStatus(status).phrase, "content": _PROBLEM}
        if status in _PROBLEM_HEADERS:
            responses[status]["headers"] = _PROBLEM_HEADERS[status]
    return {
        "status_code": min(answers),
        "responses": responses,
        "openapi_extra": extra,
        "response_model": None,
        "response_class": _response_class(answers[min(answers)]),
    }


def _response_class(answer: type[Answer] | UnionType | type[Response] | str) -> type[Response]:
    if isinstance(answer, str):
        return Response
    return answer if isinstance(answer, type) and issubclass(answer, Response) else JSONResponse


def _form_schema(form: Mapping[str, bool]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "string"} for name in form},
        "required": [name for name, required in form.items() if required],
    }
