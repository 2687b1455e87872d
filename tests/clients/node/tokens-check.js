// Checks the recipe's `tokens.js`: it keeps a token, renews it in time, and gets another when a service refuses it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { CLIENT_ID, CLIENT_SECRET, ISSUER, WRONG_SECRET, did, done, introspect, revoke, sealwright } from './given.js';
import { Tokens } from './tokens.js';

const AUDIENCE = 'https://api.example';

// Forwards token requests to the server, and replaces the token's lifetime by `expiresIn` seconds if that is set. To
// any other request it acts as a service: it answers 401 unless the token is live and has the right audience.
const stage = { expiresIn: undefined, issued: 0, seen: [] };
const server = createServer(async (request, response) => {
  if (request.method === 'POST') {
    const body = Buffer.concat(await request.toArray());
    const headers = { 'content-type': request.headers['content-type'] };
    const answer = await fetch(ISSUER + request.url, { method: 'POST', headers, body });
    const told = await answer.json();
    if (answer.ok) stage.issued += 1;
    response.writeHead(answer.status).end(JSON.stringify({ ...told, expires_in: stage.expiresIn ?? told.expires_in }));
    return;
  }
  const token = request.headers.authorization.slice('Bearer '.length);
  stage.seen.push(token);
  const told = await introspect(token);
  response.writeHead(told.active && told.aud === AUDIENCE ? 200 : 401).end();
}).listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;
const program = (changed = {}) =>
  new Tokens({ issuer, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, scope: 'db:read', audience: AUDIENCE, ...changed });
const call = async (tokens) => (await tokens.fetch(`${issuer}/rows`)).status;
const reset = () => Object.assign(stage, { issued: 0, seen: [] });

let tokens = program();
const statuses = await Promise.all(Array.from({ length: 8 }, () => call(tokens)));
assert.deepEqual([...new Set(statuses), stage.issued, new Set(stage.seen).size], [200, 1, 1]);
assert.equal(await call(tokens), 200);
assert.equal(stage.issued, 1);
did('one token for many calls');

// A token is renewed 60 s before it expires, but not yet 75 s before.
for (const [lifetime, issued] of [[60, 3], [75, 1]]) {
  reset();
  stage.expiresIn = lifetime;
  tokens = program();
  for (let n = 0; n < 3; n += 1) assert.equal(await call(tokens), 200);
  assert.equal(stage.issued, issued, `${lifetime}`);
}
stage.expiresIn = undefined;
did('renewed 60 s before its end');

for (const kill of [async () => revoke(await tokens.get()), () => sealwright('agent', 'revoke-tokens', CLIENT_ID)]) {
  tokens = program();
  assert.equal(await call(tokens), 200);
  await kill();
  reset();
  assert.equal(await call(tokens), 200);
  assert.deepEqual([stage.issued, stage.seen.length], [1, 2]);
}

reset();
assert.equal(await call(program({ audience: 'https://other.example' })), 401);
assert.deepEqual([stage.issued, stage.seen.length], [2, 2]);
did('a dead token is dropped and another asked for, once');

await assert.rejects(program({ clientSecret: WRONG_SECRET }).get(), /no token: 401 .*invalid_client/);
server.close();
server.closeAllConnections();

done();
