// The MCP SDK on both sides: a server that asks for tokens of ours, and a client that finds its way to them.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { PrivateKeyJwtProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import {
  CLIENT_ID, CLIENT_SECRET, ISSUER, SERVICE_ID, SERVICE_SECRET, WRONG_SECRET, answered, did, done, freePort, giveKey,
  introspect, metadata, requestToken, revoke, sealwright,
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
const elsewhere = await requestToken({ scope: 'db:read' });
sealwright('agent', 'update', CLIENT_ID, '--scope', 'db:read', '--audience', RESOURCE.href);
const before = await answered('/.well-known/oauth-authorization-server');
const { client, token } = await askWhoIAm(CLIENT_SECRET);
// Nobody told it where the tokens are.
assert.equal(await answered('/.well-known/oauth-authorization-server'), before + 1);
did('discovery (RFC 9728, 8414)');
assert.equal((await introspect(token)).aud, RESOURCE.href);
assert.equal(client, CLIENT_ID);
did('token for the resource, tool call');
const status = async (token) => {
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  const answer = await fetch(RESOURCE, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
    },
    body: JSON.stringify(ping),
  });
  await answer.text();
  return answer.status;
};
assert.equal(await status(token), 200);
assert.equal(await status(elsewhere), 401);
did('401 for another audience');
await revoke(token);
assert.equal(await status(token), 401);
did('401 after revocation');
// A client that keeps the dead token gets another.
const login = new ClientCredentialsProvider({ clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, expectedIssuer: ISSUER });
login.saveTokens({ access_token: token, token_type: 'Bearer' });
const keeper = new Client({ name: 'reporter', version: '1.0.0' });
await keeper.connect(new StreamableHTTPClientTransport(RESOURCE, { authProvider: login }));
await keeper.close();
const next = login.tokens().access_token;
assert.notEqual(next, token);
assert.equal(await status(next), 200);
did('another token after a 401');
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
giveKey(publicKey.export({ type: 'spki', format: 'pem' }));
const signing = new PrivateKeyJwtProvider({
  clientId: CLIENT_ID,
  privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  algorithm: 'ES256',
  jwtLifetimeSeconds: 60,
  expectedIssuer: ISSUER,
});
const signer = new Client({ name: 'reporter', version: '1.0.0' });
await signer.connect(new StreamableHTTPClientTransport(RESOURCE, { authProvider: signing }));
const told = await signer.callTool({ name: 'who_am_i' });
assert.equal(told.content[0].text, CLIENT_ID);
await signer.close();
did('`private_key_jwt`');
const realFetch = globalThis.fetch;
globalThis.fetch = (url, ...rest) => String(url).endsWith('/introspect') ? Promise.reject(new TypeError('gone')) : realFetch(url, ...rest);
assert.equal(await status(next), 500);
globalThis.fetch = realFetch;
did('500, not 401, while the server cannot be asked');
await assert.rejects(askWhoIAm(WRONG_SECRET), { name: 'InvalidClientError', errorCode: 'invalid_client' });
did('a wrong secret is `InvalidClientError`');
service.close();

done('@modelcontextprotocol/sdk');
