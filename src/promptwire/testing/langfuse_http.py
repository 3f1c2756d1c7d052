"""The web server around Langfuse's API: credentials, bodies, entity tags, pages."""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import replace

from promptwire.testing.langfuse_composition import refuse
from promptwire.testing.wire import Answer, Json, Received, RefusedError

_NOT_FOUND_PAGE = b"<!DOCTYPE html><html><head><title>404: This page could not be found</title></head></html>"
_HINT = "Confirm that you've configured the correct host."


def authorize(request: Received, public_key: str, secret_key: str) -> None:
    """Refuse all but Basic credentials with the project's secret key."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        problem = _check_basic(credentials, secret_key)
    elif scheme == "Bearer" and credentials == public_key:
        raise refuse(403, "ForbiddenError", "Access denied - need to use basic auth with secret key to GET prompts")
    elif scheme == "Bearer":
        problem = f"Invalid public key. {_HINT}"
    else:
        problem = "Invalid authorization header" if scheme else "No authorization header"
    if problem and request.method == "PATCH":
        raise RefusedError(Answer.of_json(401, {"message": problem}))
    if problem:
        raise refuse(401, "UnauthorizedError", problem)


def _check_basic(credentials: str, secret_key: str) -> str | None:
    """What is wrong with them; the real server, too, looks a project up by its secret key alone."""
    try:
        _, _, secret = base64.b64decode(credentials, validate=True).partition(b":")
    except binascii.Error:
        return f"Invalid character. {_HINT}"
    return None if hmac.compare_digest(secret, secret_key.encode()) else f"Invalid credentials. {_HINT}"


def json_body(request: Received) -> Json:
    """The body as the server's framework parses it."""
    if not request.body:
        return {}
    if not request.headers.get("content-type", "").startswith("application/json"):
        return request.body.decode()
    try:
        return json.loads(request.body)
    except ValueError as error:
        raise RefusedError(Answer(400, b"Invalid JSON")) from error


def method_not_allowed() -> Answer:
    """The answer to a known address, asked in another way."""
    return Answer.of_json(405, {"message": "Method not allowed", "error": "MethodNotAllowedError"})


def page(path: str) -> Answer:
    """What the web application answers where the API has nothing."""
    there = path.rstrip("/")
    if there not in {"", path}:
        return Answer(308, there.encode(), {"Location": there, "Refresh": f"0;url={there}"})
    return Answer(404, _NOT_FOUND_PAGE, {"Content-Type": "text/html; charset=utf-8"})


def conditional(request: Received, answer: Answer) -> Answer:
    """The answer with an ETag, or 304 where the client has it already."""
    if "Content-Type" not in answer.headers:
        return answer
    etag = f'"{hashlib.sha256(answer.body).hexdigest()[:12]}"'
    tagged = replace(answer, headers={**answer.headers, "ETag": etag})
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    fresh = request.method == "GET" and answer.status == 200 and known & {etag, "*"}
    if fresh and "no-cache" not in request.headers.get("cache-control", ""):
        return replace(tagged, status=304, body=b"")
    return tagged
