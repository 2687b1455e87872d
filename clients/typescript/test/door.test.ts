import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { Client as McpClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import express from 'express';
import { Hono } from 'hono';
import { claims, protect as protectExpress } from '../src/express.js';
import { type ClaimsVariables, protect as protectHono } from '../src/hono.js';
import { decide, Verifier } from '../src/index.js';
import { type AuthInfo, metadata, metadataUrl, protect as protectMcp, serveMetadata } from '../src/mcp.js';
import { AUDIENCE, ISSUER, Issuer } from './issuer.js';

type Call = (path: string, authorization?: string) => Promise<Response>;

const headersOf = (authorization: string | undefined) =>
  authorization === undefined ? {} : { authorization };

/** Doors of the same two paths. */
const doors: Record<string, (verifier: Verifier) => Promise<{ call: Call; close: () => void }>> = {
  async express(verifier) {
    const app = express();
    app.get('/read', protectExpress(verifier, 'db:read'), (request, response) => {
      response.send(claims(request).clientId);
    });
    app.get('/both', protectExpress(verifier, 'db:read', 'db:write'), (_, response) => {
      response.send('both');
    });
    const server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const call: Call = (path, authorization) =>
      fetch(`http://127.0.0.1:${port}${path}`, { headers: headersOf(authorization) });
    return { call, close: () => server.close() };
  },
  async hono(verifier) {
    const app = new Hono<{ Variables: ClaimsVariables }>();
    app.get('/read', protectHono(verifier, 'db:read'), (context) =>
      context.text(context.get('claims').clientId),
    );
    app.get('/both', protectHono(verifier, 'db:read', 'db:write'), (context) => context.text('both'));
    const call: Call = async (path, authorization) =>
      app.request(path, { headers: headersOf(authorization) });
    return { call, close: () => undefined };
  },
};

for (const [name, open] of Object.entries(doors)) {
  test(`the door of ${name}`, async () => {
    const issuer = await Issuer.make();
    const { fetch } = issuer;
    const verifier = new Verifier({ issuer: ISSUER, audience: AUDIENCE, fetch });
    const { call, close } = await open(verifier);
    const token = await issuer.token({ jti: 'mine' });

    const passed = await call('/read', `Bearer ${token}`);
    assert.deepEqual([passed.status, await passed.text()], [200, 'reporter']);
    assert.equal((await call('/read', `bearer  ${token}`)).status, 200);

    for (const none of [undefined, '', 'Basic YTpi', token]) {
      const answer = await call('/read', none);
      assert.equal(answer.status, 401, none);
      assert.equal(answer.headers.get('www-authenticate'), 'Bearer');
      assert.equal(answer.headers.get('cache-control'), 'no-store');
    }
    for (const bad of ['Bearer', 'Bearer garbage', `Bearer ${token} x`, `Bearer ${token}, Bearer ${token}`]) {
      const answer = await call('/read', bad);
      assert.equal(answer.status, 401, bad);
      assert.match(
        answer.headers.get('www-authenticate') ?? '',
        /^Bearer error="invalid_token", error_description="/,
      );
      assert.ok(!(await answer.text()).includes(token));
    }

    const lacking = await call('/both', `Bearer ${token}`);
    assert.equal(lacking.status, 403);
    const challenge = lacking.headers.get('www-authenticate') ?? '';
    assert.match(
      challenge,
      /^Bearer error="insufficient_scope", error_description="the token lacks db:write"/,
    );
    assert.match(challenge, /, scope="db:read db:write"$/);
    assert.equal(((await lacking.json()) as { error: string }).error, 'insufficient_scope');

    issuer.revoke('mine');
    for (let patience = 0; (await call('/read', `Bearer ${token}`)).status === 200; patience += 1) {
      assert.ok(patience < 1_000);
      // The poll after the first list comes a moment later.
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const revoked = await call('/read', `Bearer ${token}`);
    assert.equal(revoked.status, 401);
    assert.match(revoked.headers.get('www-authenticate') ?? '', /error="invalid_token".*revoked/);
    close();
    await verifier.close();
  });

  test(`the door of ${name} in an outage`, async () => {
    const issuer = await Issuer.make();
    const token = await issuer.token();
    issuer.away = true;
    const { fetch } = issuer;
    const verifier = new Verifier({ issuer: ISSUER, audience: AUDIENCE, fetch });
    const { call, close } = await open(verifier);
    const answer = await call('/read', `Bearer ${token}`);
    assert.equal(answer.status, 503);
    assert.match(answer.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
    assert.equal(answer.headers.get('www-authenticate'), null);
    // What is no token at all is refused all the same.
    assert.equal((await call('/read', 'Bearer garbage')).status, 401);
    close();
    await verifier.close();
  });
}

test('a request that came through no door has no claims', () => {
  assert.throws(() => claims({ headers: {} }), /no door/);
});

test('a description that could break the challenge does not', async () => {
  const verifier = { verifyScope: () => Promise.reject(new Error('not ours')) } as unknown as Verifier;
  await assert.rejects(decide(verifier, 'Bearer x'), /not ours/);
});

test('the metadata of an MCP server is between its host and its path', () => {
  assert.equal(
    metadataUrl('https://mcp.example'),
    'https://mcp.example/.well-known/oauth-protected-resource',
  );
  assert.equal(
    metadataUrl('https://mcp.example/'),
    'https://mcp.example/.well-known/oauth-protected-resource',
  );
  assert.equal(
    metadataUrl('https://mcp.example/a/mcp'),
    'https://mcp.example/.well-known/oauth-protected-resource/a/mcp',
  );
  assert.deepEqual(
    metadata({ resource: 'https://mcp.example/mcp', issuer: ISSUER, scopes: ['db:read'], name: 'rows' }),
    {
      resource: 'https://mcp.example/mcp',
      authorization_servers: [ISSUER],
      bearer_methods_supported: ['header'],
      scopes_supported: ['db:read'],
      resource_name: 'rows',
    },
  );
});

test('an MCP server behind its door serves the SDK’s client', async () => {
  const issuer = await Issuer.make();
  const app = express();
  app.use(express.json());
  const http = app.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const origin = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const mine = { resource: `${origin}/mcp`, issuer: ISSUER, scopes: ['db:read'] };
  const { fetch: ask } = issuer;
  const verifier = new Verifier({ issuer: ISSUER, audience: mine.resource, fetch: ask });
  app.use(serveMetadata(mine));
  app.post('/mcp', protectMcp(verifier, mine), async (request, response) => {
    const server = new McpServer({ name: 'rows', version: '1.0.0' });
    server.registerTool('who_am_i', {}, ({ authInfo }) => ({
      content: [{ type: 'text', text: `${authInfo?.clientId} ${(authInfo as AuthInfo).scopes}` }],
    }));
    const transport = new StreamableHTTPServerTransport();
    response.on('close', () => void server.close());
    await server.connect(transport as never);
    await transport.handleRequest(request, response, request.body);
  });

  const told = await fetch(`${origin}/.well-known/oauth-protected-resource/mcp`);
  assert.deepEqual(await told.json(), metadata(mine));
  const without = await fetch(mine.resource, { method: 'POST' });
  assert.equal(without.status, 401);
  const pointer = `resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`;
  assert.equal(without.headers.get('www-authenticate'), `Bearer scope="db:read", ${pointer}`);

  const connect = async (token: string) => {
    const client = new McpClient({ name: 'reporter', version: '1.0.0' });
    const requestInit = { headers: { authorization: `Bearer ${token}` } };
    await client.connect(new StreamableHTTPClientTransport(new URL(mine.resource), { requestInit }) as never);
    const answer = await client.callTool({ name: 'who_am_i' });
    await client.close();
    return (answer.content as { text: string }[])[0]?.text;
  };
  assert.equal(await connect(await issuer.token({ aud: mine.resource })), 'reporter db:read');
  // A token for another service opens nothing here.
  await assert.rejects(connect(await issuer.token({ aud: AUDIENCE })), /401|Unauthorized|invalid_token/i);
  http.close();
  http.closeAllConnections();
  await verifier.close();
});
