// The MCP SDK on both sides: a server that asks for tokens of ours, and a client that finds its way to them.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  CLIENT_ID, CLIENT_SECRET, ISSUER, SERVICE_ID, SERVICE_SECRET, WRONG_SECRET, done, freePort, introspect, metadata,
  requestToken, revoke,
} from './given.js';

const PORT = await freePort();
const RESOURCE = new URL(`http://127.0.0.1:${PORT}/mcp`);

// recipe: server
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { getOAuthProtectedResourceMetadataUrl, mcpAuthMetadataRouter } from '@modelcontextprotocol/sdk/server/auth/router.js';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';

// Asks about each token, so that a revocation holds on the very next call.
async function verifyAccessToken(token) {
  const answer = await fetch(`${ISSUER}/api/v1/token/introspect`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${SERVICE_ID}:${SERVICE_SECRET}`)}` },
    body: new URLSearchParams({ token }),
  });
  if (!answer.ok) throw new Error(`introspection: ${answer.status}`);
  const told = await answer.json();
  if (!told.active) throw new InvalidTokenError('the token is not active');
  return {
    token,
    clientId: told.client_id,
    scopes: told.scope.split(' '),
    expiresAt: told.exp,
    resource: [told.aud].flat().includes(RESOURCE.href) ? RESOURCE : undefined,
  };
}

const app = createMcpExpressApp();
app.use(
  mcpAuthMetadataRouter({ oauthMetadata: metadata, resourceServerUrl: RESOURCE, scopesSupported: ['db:read'] }),
);
app.post(
  '/mcp',
  requireBearerAuth({
    verifier: { verifyAccessToken },
    requiredScopes: ['db:read'],
    resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(RESOURCE),
    // A token that was issued for another service opens nothing here.
    expectedResource: RESOURCE,
  }),
  async (request, response) => {
    const server = new McpServer({ name: 'database', version: '1.0.0' });
    server.registerTool('who_am_i', {}, ({ authInfo }) => ({ content: [{ type: 'text', text: authInfo.clientId }] }));
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    response.on('close', () => server.close());
    await server.connect(transport);
    await transport.handleRequest(request, response, request.body);
  },
);
// end of recipe

// recipe: client
import { ClientCredentialsProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

async function askWhoIAm(clientSecret) {
  const login = new ClientCredentialsProvider({ clientId: CLIENT_ID, clientSecret, expectedIssuer: ISSUER });
  const client = new Client({ name: 'reporter', version: '1.0.0' });
  await client.connect(new StreamableHTTPClientTransport(RESOURCE, { authProvider: login }));
  const answer = await client.callTool({ name: 'who_am_i' });
  await client.close();
  return { client: answer.content[0].text, token: login.tokens().access_token };
}
// end of recipe

const service = app.listen(PORT, '127.0.0.1');
await once(service, 'listening');
const { client, token } = await askWhoIAm(CLIENT_SECRET);
assert.equal(client, CLIENT_ID);
const told = await introspect(token);
assert.equal(told.aud, RESOURCE.href);
const status = async (token) =>
  (await fetch(RESOURCE, { method: 'POST', headers: { authorization: `Bearer ${token}` } })).status;
assert.notEqual(await status(token), 401);
assert.equal(await status(await requestToken({ scope: 'db:read' })), 401);
await revoke(token);
assert.equal(await status(token), 401);
await assert.rejects(askWhoIAm(WRONG_SECRET), { name: 'InvalidClientError', errorCode: 'invalid_client' });
service.close();

done('@modelcontextprotocol/sdk', 'discovery (RFC 9728, 8414), token for the resource, tool call; 401 after revocation; a wrong secret is `InvalidClientError`');
