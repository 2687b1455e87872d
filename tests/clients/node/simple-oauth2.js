// simple-oauth2: HTTP Basic, form-encoded. It can revoke tokens.

import assert from 'node:assert/strict';
import { ClientCredentials } from 'simple-oauth2';
import { CLIENT_ID, CLIENT_SECRET, ISSUER, SCOPE, WRONG_SECRET, accepted, did, done, metadata, refused } from './given.js';

const connect = (secret) =>
  new ClientCredentials({
    client: { id: CLIENT_ID, secret },
    auth: { tokenHost: ISSUER, tokenPath: metadata.token_endpoint, revokePath: metadata.revocation_endpoint },
  });

const token = await connect(CLIENT_SECRET).getToken({ scope: SCOPE.split(' ') });
assert.equal(token.token.scope, SCOPE);
assert.equal(token.expired(), false);
assert.ok(await accepted(token.token.access_token));
did('token');
await token.revoke('access_token');
assert.ok(await refused(token.token.access_token));
did('revocation');

await assert.rejects(connect(WRONG_SECRET).getToken({}), (error) => {
  assert.equal(error.output.statusCode, 401);
  assert.equal(error.data.payload.error, 'invalid_client');
  return true;
});
did('a wrong secret is `invalid_client`');

done('simple-oauth2');
