// express-oauth2-jwt-bearer: an Express service that verifies offline, in the strict RFC 9068 way.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { CLIENT_ID, ISSUER, SCOPE, done, requestToken, revoke } from './given.js';

const AUDIENCE = 'https://db.example';

// recipe: express
import express from 'express';
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer';

let revoked = new Set();

// Call this every few seconds: a revocation is known after one poll.
async function poll() {
  const list = await (await fetch(`${ISSUER}/api/v1/token/revoked`)).json();
  revoked = new Set(list.revoked_jtis);
}

const app = express();
app.use(
  auth({
    issuerBaseURL: ISSUER,
    audience: AUDIENCE,
    strict: true,
    validators: { jti: (jti) => typeof jti === 'string' && !revoked.has(jti) },
  }),
);
app.get('/rows', requiredScopes('db:read'), (request, response) => {
  response.json({ client: request.auth.payload.client_id });
});
// end of recipe
app.get('/write', requiredScopes('db:write'), (request, response) => response.end());

const service = app.listen(0, '127.0.0.1');
await once(service, 'listening');
const get = (path, token) =>
  fetch(`http://127.0.0.1:${service.address().port}${path}`, { headers: { authorization: `Bearer ${token}` } });

await poll();
const token = await requestToken({ audience: AUDIENCE, scope: SCOPE });
const answer = await get('/rows', token);
assert.deepEqual(await answer.json(), { client: CLIENT_ID });
assert.equal((await get('/write', token)).status, 403);
assert.equal((await get('/rows', await requestToken({}))).status, 401);
await revoke(token);
await poll();
const late = await get('/rows', token);
assert.equal(late.status, 401);
assert.match(late.headers.get('www-authenticate'), /invalid_token/);
service.close();

done('express-oauth2-jwt-bearer', 'discovery, strict RFC 9068 check; 403 without the scope, 401 for another audience and after revocation');
