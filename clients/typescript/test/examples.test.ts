// The examples that the live steps do not run, as processes of their own, against an issuer in this one.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { AUDIENCE, Issuer } from './issuer.js';

/**
 * An example, copied to where the library's own name leads to the library. In its folder it would be looked for among the
 * packages that were installed for the example.
 */
function example(name: string): string {
  const copy = fileURLToPath(new URL(`../examples/${name}.js`, import.meta.url));
  mkdirSync(dirname(copy), { recursive: true });
  copyFileSync(new URL(`../../examples/${name}/index.js`, import.meta.url), copy);
  return copy;
}

/** An issuer at a URL that other processes reach. */
async function serveIssuer() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer = await Issuer.make(undefined, url);
  server.on('request', async (request, response) => {
    const answer = await issuer.fetch(`${url}${request.url}`);
    response.writeHead(answer.status).end(await answer.text());
  });
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url, issuer, close };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function listens(url: string, child: ChildProcess): Promise<void> {
  for (const end = performance.now() + 20_000; ; ) {
    assert.equal(child.exitCode, null, 'the example has ended');
    const answer = await fetch(url).catch(() => undefined);
    if (answer) return;
    assert.ok(performance.now() < end, `${url} does not listen`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('examples/mcp serves the SDK’s client', async () => {
  const { url, issuer, close } = await serveIssuer();
  const port = await freePort();
  const RESOURCE = `http://127.0.0.1:${port}/mcp`;
  const env = { ...process.env, PORT: String(port), RESOURCE, SEALWRIGHT_URL: url };
  const child = spawn(process.execPath, [example('mcp')], { env, stdio: 'inherit' });
  try {
    await listens(RESOURCE, child);
    const client = new Client({ name: 'reporter', version: '1.0.0' });
    const authorization = `Bearer ${await issuer.token({ aud: RESOURCE })}`;
    const transport = new StreamableHTTPClientTransport(new URL(RESOURCE), {
      requestInit: { headers: { authorization } },
    });
    await client.connect(transport as never);
    assert.deepEqual((await client.callTool({ name: 'who_am_i' })).content, [
      { type: 'text', text: 'reporter' },
    ]);
    await client.close();
    assert.equal((await fetch(RESOURCE, { method: 'POST' })).status, 401);
  } finally {
    child.kill();
    close();
  }
});

test('examples/hono lets tokens pass', async () => {
  const { url, issuer, close } = await serveIssuer();
  // A server for a default export that has `fetch`, as Deno and Bun have one.
  const script = `
    import { createServer } from 'node:http';
    const { default: app } = await import(${JSON.stringify(example('hono'))});
    createServer(async (request, response) => {
      const answer = await app.fetch(new Request('http://localhost' + request.url, { headers: request.headers }));
      response.writeHead(answer.status).end(await answer.text());
    }).listen(process.env.PORT, '127.0.0.1');`;
  const port = await freePort();
  const env = { ...process.env, PORT: String(port), SEALWRIGHT_URL: url, SEALWRIGHT_AUDIENCE: AUDIENCE };
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { env, stdio: 'inherit' });
  try {
    const read = `http://127.0.0.1:${port}/read`;
    await listens(read, child);
    const answer = await fetch(read, { headers: { authorization: `Bearer ${await issuer.token()}` } });
    assert.deepEqual([answer.status, await answer.text()], [200, 'rows for reporter\n']);
    assert.equal((await fetch(read)).status, 401);
  } finally {
    child.kill();
    close();
  }
});
