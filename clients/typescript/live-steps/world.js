// What the steps share: the server, its operator, processes, and times.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createListener } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client, Verifier } from 'sealwright';

const { env } = process;
export const url = env.SEALWRIGHT_URL;
export const secondUrl = env.SEALWRIGHT_URL_2;
export const audience = env.SEALWRIGHT_AUDIENCE;
export const agent = env.SEALWRIGHT_CLIENT_ID;
export const secret = env.SEALWRIGHT_CLIENT_SECRET;
export const nowhere = 'http://127.0.0.1:9';
export const read = { scope: 'db:read', audience };

const run = promisify(execFile);

/** Runs a command of the operator. */
export async function operator(...args) {
  return (await run(env.SEALWRIGHT_BIN, args)).stdout;
}

/** How many tokens the agent was issued this month. */
export async function issued() {
  return JSON.parse(await operator('agent', 'show', agent, '--json')).usage.issued;
}

/** A client of the chain: the credentials are in the environment. */
export const newClient = (options = {}) => new Client({ baseUrl: url, ...options });

export const newVerifier = (options = {}) =>
  new Verifier({
    issuer: url,
    audience,
    onError: (error) => console.error(`verifier: ${error.message}`),
    ...options,
  });

export const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
export const header = (token) => JSON.parse(Buffer.from(token.split('.')[0], 'base64url').toString());

/** The error that a promise ends with. */
export async function failure(promise) {
  const outcome = await promise.then(
    () => undefined,
    (error) => error,
  );
  assert.ok(outcome, 'no error');
  return outcome;
}

/** Waits until something holds. It returns the seconds that it took, and fails after `limit` seconds. */
export async function until(limit, holds) {
  const began = performance.now();
  for (;;) {
    if (await holds()) return (performance.now() - began) / 1_000;
    assert.ok(performance.now() - began < limit * 1_000, `not within ${limit} s`);
    await sleep(5);
  }
}

/** Whether the verifier refuses the token as one that must get 401. */
export async function refuses(verifier, token) {
  const error = await verifier.verify(token).then(
    () => undefined,
    (error) => error,
  );
  assert.ok(error === undefined || error.name === 'InvalidToken', String(error));
  return error !== undefined;
}

let longPoll;
/** Whether the server holds polls, and so how many seconds a revocation may take to be known. */
export async function feedLimit() {
  if (longPoll === undefined) {
    const answer = await fetch(`${url}/api/v1/token/revoked?since=0`);
    longPoll = answer.ok && 'since' in (await answer.json());
  }
  return longPoll ? [2, 'by long poll'] : [16, 'by polling: this server holds no polls'];
}

export async function freePort() {
  const listener = createListener().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}

/** Starts the example of a service as a process, and waits until it listens. */
export async function startService(environment = {}) {
  const port = await freePort();
  return start(['examples/service/index.js'], port, { LISTEN: `127.0.0.1:${port}`, ...environment });
}

/** The example with Hono, behind what Deno and Bun have for a default export with `fetch`. */
export async function startHono() {
  const script = `
    import { createServer } from 'node:http';
    const { default: app } = await import(process.cwd() + '/examples/hono/index.js');
    createServer(async (request, response) => {
      const answer = await app.fetch(new Request('http://localhost' + request.url, { headers: request.headers }));
      response.writeHead(answer.status).end(await answer.text());
    }).listen(process.env.PORT, '127.0.0.1');`;
  const port = await freePort();
  return start(['--input-type=module', '-e', script], port, { PORT: String(port) });
}

/** The example of an MCP server, and the status that a client with a token gets from it. */
export async function startMcp() {
  const port = await freePort();
  const resource = `http://127.0.0.1:${port}/mcp`;
  const server = await start(['examples/mcp/index.js'], port, { PORT: String(port), RESOURCE: resource });
  const clientInfo = { name: 'live', version: '1' };
  const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo };
  const statusOf = async (token) => {
    const answer = await fetch(resource, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
    });
    await answer.body?.cancel();
    return answer.status;
  };
  return { mcp: { ...server, resource }, statusOf };
}

async function start(args, port, environment) {
  const child = spawn(process.execPath, args, {
    env: { ...env, SEALWRIGHT_CLIENT_ID: '', SEALWRIGHT_CLIENT_SECRET: '', ...environment },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  process.once('exit', () => child.kill());
  const base = `http://127.0.0.1:${port}`;
  await until(20, () => {
    assert.equal(child.exitCode, null, 'the service has ended');
    return fetch(`${base}/read`).then(
      () => true,
      () => false,
    );
  });
  const get = (path, token) =>
    fetch(base + path, { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } });
  return { base, get, stop: () => child.kill() };
}

/** Runs the example of an agent. It returns the last line that it prints. */
export async function runAgent(environment) {
  const { stdout } = await run(process.execPath, ['examples/agent/index.js'], {
    env: { ...env, ...environment },
  });
  return stdout.trim().split('\n').at(-1);
}

/** An API that answers every call with 401 `invalid_token`, and counts the calls. */
export async function startRefusing() {
  const api = { calls: 0 };
  const server = createServer((_request, response) => {
    api.calls += 1;
    response.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"' }).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  api.url = `http://127.0.0.1:${server.address().port}/`;
  api.stop = () => server.close();
  return api;
}
