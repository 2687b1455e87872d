// A proxy for the server's documents that can be made to fail, and a check of recipes that uses it.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { CLIENT_ID, ISSUER, revoke, sealwright } from './given.js';

// Opens the proxy. Its mode is `pass` (forwards a request to the server), `unavailable` (answers 503 with JSON),
// `keyless` (does so for the keys only), `gone` (closes the connection), or `cut` (leaves out every `jti`, as the
// server does when an agent has too many).
export async function openFront() {
  const front = { mode: 'pass', failures: 0 };
  const server = createServer(async (request, response) => {
    if (front.mode === 'gone') {
      front.failures += 1;
      request.socket.destroy();
      return;
    }
    if (front.mode === 'unavailable' || (front.mode === 'keyless' && request.url.includes('jwks'))) {
      front.failures += 1;
      response.writeHead(503, { 'content-type': 'application/json' }).end('{"error":"temporarily_unavailable"}');
      return;
    }
    const etag = request.headers['if-none-match'] ?? '';
    const answer = await fetch(ISSUER + request.url, { headers: { 'if-none-match': etag } });
    const body = await answer.text();
    response.writeHead(answer.status, { etag: answer.headers.get('etag') ?? '' });
    response.end(front.mode === 'cut' && answer.ok ? JSON.stringify({ ...JSON.parse(body), revoked_jtis: [] }) : body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  front.url = `http://127.0.0.1:${server.address().port}`;
  front.close = () => {
    server.close();
    server.closeAllConnections();
  };
  return front;
}

export async function until(holds) {
  const deadline = Date.now() + 20_000;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `never: ${holds}`);
    await new Promise((resume) => setTimeout(resume, 20));
  }
}

// `lives(token)` tells whether the service accepts the token. The token is valid except for a revocation.
export async function provesRevocations(revocations, newToken, lives) {
  const front = await openFront();
  revocations.list = revocations.list.replace(ISSUER, front.url);
  console.error = () => {};

  front.mode = 'unavailable';
  await assert.rejects(revocations.start(), /503/);

  front.mode = 'pass';
  const [dead, next] = [await newToken(), await newToken()];
  await revocations.start(20);
  assert.ok(await lives(dead));
  await revoke(dead);
  await until(async () => !(await lives(dead)));
  assert.ok(await lives(next));

  for (const mode of ['unavailable', 'gone']) {
    front.mode = mode;
    const before = front.failures;
    await until(() => front.failures > before + 2);
    assert.equal(await lives(dead), false);
    assert.ok(await lives(next));
  }

  // The polling loop still runs, and the agent's epoch revokes its tokens even without any `jti`.
  sealwright('agent', 'revoke-tokens', CLIENT_ID);
  front.mode = 'cut';
  await until(async () => !(await lives(next)));
  assert.ok(await lives(await newToken()));
  front.close();
}
