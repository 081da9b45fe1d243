"""The same in Flask, on the same database: a token of one is good at the other, and ends at both."""

from flask import Flask, jsonify, request
from werkzeug.wrappers import Response

from coatcheck.flask import Auth, Mode, Policy, current_user, fresh, login_required, mount_auth

app = Flask(__name__)
auth = mount_auth(app, Auth("sqlite:///app.db", policy=Policy(modes=(Mode.JWT,), access_lifetime=300)))

tasks: dict[str, list[str]] = {}


@app.get("/tasks")
@login_required
def read() -> Response:
    """No request asks the database who somebody is: not the first with a token, nor any after it."""
    return jsonify(tasks.get(current_user.subject, []))


@app.post("/tasks")
@login_required
def add() -> tuple[Response, int]:
    """A bearer token needs no CSRF token: no browser sends it by itself."""
    tasks.setdefault(current_user.subject, []).append(request.args["task"])
    return jsonify(tasks[current_user.subject]), 201


@app.delete("/tasks")
@fresh(minutes=10)
def clear() -> tuple[str, int]:
    """For whoever has typed the password within ten minutes. Refreshing is not enough."""
    tasks.pop(current_user.subject, None)
    return "", 204
