"""The Python client that OpenAPI Generator makes of the document works against the server."""

import os
import sys
import urllib.error

sys.path.insert(0, os.path.join(sys.argv[1], "client"))

import sealwright_client
from sealwright_client.exceptions import ApiException

from agent import new_agent, token_of

agent_id, secret = new_agent("generated")
configuration = sealwright_client.Configuration(
    host=os.environ["ISSUER"], access_token=token_of(agent_id, secret)
)
with sealwright_client.ApiClient(configuration) as client:
    agents = sealwright_client.AgentsApi(client)
    page, listed = agents.list_agents(limit=1), []
    while True:
        assert page.limit == 1 and len(page.data) <= 1
        listed += [agent.agent_id for agent in page.data]
        if page.next_cursor is None:
            break
        page = agents.list_agents(limit=1, cursor=page.next_cursor)
    assert agent_id in listed and listed == sorted(listed), listed
    agent = agents.get_agent(agent_id)
    assert agent.name == "generated" and agent.status == "active"
    assert agent.credentials[0].hint == secret[:8], agent
    assert sealwright_client.ServerApi(client).get_whoami().agent_id == agent_id
    events = sealwright_client.AuditApi(client).list_events(kind=["agent.created"], agent_id=agent_id)
    assert [entry.event.kind for entry in events.data] == ["agent.created"], events
    night_watch = sealwright_client.CreateAgentRequest(
        name="night watch", scopes=["tokens:read"], labels={"team": "a"}, owner="ops"
    )
    made = agents.create_agent(night_watch, idempotency_key="night-watch-1")
    # Sent again, as after a lost reply, it is the same agent with the same secret.
    again = agents.create_agent(night_watch, idempotency_key="night-watch-1")
    assert again.agent_id == made.agent_id and again.client_secret == made.client_secret
    assert made.client_secret and made.labels == {"team": "a"}, made
    new = sealwright_client.CredentialsApi(client).rotate_credentials(
        made.agent_id,
        rotate_credentials_request=sealwright_client.RotateCredentialsRequest(overlap_seconds=0),
    )
    assert new.client_secret not in (None, made.client_secret), new
    token_of(made.agent_id, new.client_secret)
    stopped = agents.suspend_agent(made.agent_id)
    assert stopped.status == "suspended", stopped
    try:
        token_of(made.agent_id, new.client_secret)
    except urllib.error.HTTPError as refused:
        assert refused.code == 403, refused
    else:
        raise AssertionError("a suspended agent got a token")
    tokens = sealwright_client.TokensApi(client)
    assert tokens.introspect_token(token=configuration.access_token).active
    try:
        agents.get_agent("nobody")
    except ApiException as refused:
        assert (refused.status, refused.data.code) == (404, "AGENT_NOT_FOUND"), refused
    else:
        raise AssertionError("an unknown agent was found")
    tokens.revoke_token(token=configuration.access_token)
    try:
        agents.get_agent(agent_id)
    except ApiException as refused:
        assert refused.status == 401, refused
    else:
        raise AssertionError("a revoked token was accepted")
print(f"{sys.argv[2]}: a generated Python client lists, makes and suspends agents, rotates a secret, reads events, introspects and revokes its token")
