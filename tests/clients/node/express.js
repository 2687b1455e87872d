// express-oauth2-jwt-bearer: an Express service that verifies tokens offline, strictly as in RFC 9068.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { CLIENT_ID, ISSUER, SCOPE, did, done, requestToken } from './given.js';
import { provesRevocations } from './front.js';

const AUDIENCE = 'https://db.example';

import express from 'express';
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer';
import { Revocations } from './revocations.js';

const revocations = new Revocations(ISSUER);
await revocations.start();

const app = express();
app.use(
  auth({
    issuerBaseURL: ISSUER,
    audience: AUDIENCE,
    strict: true,
    // Accept no expired token: the revocation list drops them.
    clockTolerance: 0,
    validators: { jti: (jti, claims) => typeof jti === 'string' && !revocations.has(claims) },
  }),
);
app.get('/rows', requiredScopes('db:read'), (request, response) => {
  response.json({ client: request.auth.payload.client_id });
});
app.get('/write', requiredScopes('db:write'), (request, response) => response.end());

const service = app.listen(0, '127.0.0.1');
await once(service, 'listening');
const get = (path, token) =>
  fetch(`http://127.0.0.1:${service.address().port}${path}`, { headers: { authorization: `Bearer ${token}` } });

const token = await requestToken({ audience: AUDIENCE, scope: SCOPE });
const answer = await get('/rows', token);
assert.equal(answer.status, 200);
assert.deepEqual(await answer.json(), { client: CLIENT_ID });
did('discovery, strict RFC 9068 check');
assert.equal((await get('/write', token)).status, 403);
did('403 without the scope');
assert.equal((await get('/rows', await requestToken({}))).status, 401);
did('401 for another audience');

await provesRevocations(
  revocations,
  () => requestToken({ audience: AUDIENCE }),
  async (token) => {
    const answer = await get('/rows', token);
    if (answer.status === 200) return true;
    assert.equal(answer.status, 401);
    assert.match(answer.headers.get('www-authenticate'), /invalid_token.*jti/);
    return false;
  },
);
service.close();
did('401 for a revoked `jti` and a revoked agent, and still while the list cannot be had');

done('express-oauth2-jwt-bearer');
