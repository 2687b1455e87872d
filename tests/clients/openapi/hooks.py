"""What schemathesis does not send, with the reason, and which agents it asks about."""

import collections
import os
import random

import schemathesis

CALLER = os.environ["CALLER"]
ABOUT_AGENT = "/api/v1/agents/{id}"
BULK = "/api/v1/agents/bulk"
ROTATE = "/api/v1/keys/rotate"
KEY = "Idempotency-Key"
# The agents that were made last.
made = collections.deque(maxlen=8)


@schemathesis.hook
def filter_query(context, query):
    """The server takes some empty parameters for absent ones (RFC 6749 §3.1), which the type of a
    parameter cannot say."""
    return not query or all(query.get(name) != "" for name in ("limit", "cursor", "since", "wait"))


@schemathesis.hook
def before_call(context, case, kwargs):
    """The agent that sends the requests must not stop itself, since all later requests would be refused.
    Half of the requests that the document allows are made such that they can succeed."""
    if "wait" in (case.query or {}) and case.meta is not None and case.meta.generation.mode.is_positive:
        # A request is held for as many seconds when nothing changes.
        case.query["wait"] = 1
    if case.method == "GET" or case.meta is None:
        return
    parameters = case.path_parameters or {}
    if case.operation.path.startswith(ABOUT_AGENT) and parameters.get("id") == CALLER:
        parameters["id"] = "nobody"
    if case.meta.phase.name.value == "stateful" and case.query:
        # Later requests ask for what was made, and a dry run makes nothing.
        case.query.pop("dryRun", None)
    if case.operation.path == ROTATE and isinstance(case.body, dict) and case.body.get("now") is True:
        # With the signing keys the token that sends the requests would die.
        case.body = {name: value for name, value in case.body.items() if value is not True or name == "now"}
    dice = random.Random(case.id)
    if case.operation.path == BULK and isinstance(case.body, dict):
        # A filter may find the agent that sends the requests.
        if made and case.meta.generation.mode.is_positive and dice.random() < 0.5:
            case.body = case.body | {"filter": {"ids": [dice.choice(made)]}}
        else:
            case.query = (case.query or {}) | {"dryRun": "true"}
    elif case.meta.generation.mode.is_positive and dice.random() < 0.5:
        make_possible(case, dice)
    if KEY in (case.headers or {}):
        if (case.query or {}).get("dryRun") is not None:
            # A dry run reads no key, so a malformed one is not refused.
            del case.headers[KEY]
        elif case.meta.generation.mode.is_positive:
            # The document does not say which texts are keys. A few of them are sent again and again.
            case.headers[KEY] = dice.choice(('"one"', "one", "two", '"three"'))


def make_possible(case, dice):
    """Gives the request an agent that exists, no invented version, and values that exist."""
    for name in ("If-Match", "If-None-Match"):
        (case.headers or {}).pop(name, None)
    if made and case.operation.path.startswith(ABOUT_AGENT):
        case.path_parameters["id"] = dice.choice(made)
    if isinstance(case.body, dict):
        possible = {"scopes": ["agents:read"], "expiresAt": "2030-01-01T00:00:00Z", "labels": {"team": "a"}}
        possible = {name: value for name, value in possible.items() if name in case.body}
        invented = ("agentId", "orgId", "plan", "audiences", "redirectUris", "userIds")
        body = {name: value for name, value in case.body.items() if name not in invented}
        case.body = body | possible


@schemathesis.hook
def after_call(context, case, response):
    """Notes the agents that were made."""
    if case.operation.path == "/api/v1/agents" and response.status_code == 201:
        if "Dry-Run" not in response.headers and "dry-run" not in response.headers:
            made.append(response.json()["agentId"])
