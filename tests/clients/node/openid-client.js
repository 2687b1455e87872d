// openid-client: finds every endpoint by the issuer, and sends the secret in the form or by HTTP Basic.

import assert from 'node:assert/strict';
import * as client from 'openid-client';
import {
  CLIENT_ID, CLIENT_SECRET, ISSUER, SCOPE, WRONG_SECRET, accepted, answered, did, done, giveKey, refused,
} from './given.js';

// The first argument chooses one of the two metadata documents. Plain http is for loopback only.
const discover = (algorithm, authentication) =>
  client.discovery(new URL(ISSUER), CLIENT_ID, undefined, authentication, {
    algorithm,
    execute: [client.allowInsecureRequests],
  });

const methods = [
  [client.ClientSecretPost, { name: 'ResponseBodyError', status: 401, error: 'invalid_client' }],
  // With HTTP Basic, the library reports the challenge of the response and does not read the body.
  [client.ClientSecretBasic, { name: 'WWWAuthenticateChallengeError', status: 401 }],
];

for (const [algorithm, document] of [['oidc', 'openid-configuration'], ['oauth2', 'oauth-authorization-server']]) {
  for (const [method, refusal] of methods) {
    const before = await answered(`/.well-known/${document}`);
    const server = await discover(algorithm, method(CLIENT_SECRET));
    assert.equal(await answered(`/.well-known/${document}`), before + 1);
    const { access_token: token, expires_in, scope } = await client.clientCredentialsGrant(server, { scope: SCOPE });
    assert.equal(scope, SCOPE);
    assert.ok(expires_in > 0 && expires_in <= 600);
    assert.ok(await accepted(token));
    const answer = await client.fetchProtectedResource(server, token, new URL(`${ISSUER}/api/v1/agents/${CLIENT_ID}`), 'GET');
    assert.equal((await answer.json()).agentId, CLIENT_ID);
    await client.tokenRevocation(server, token);
    assert.ok(await refused(token));

    const wrong = await discover(algorithm, method(WRONG_SECRET));
    await assert.rejects(client.clientCredentialsGrant(wrong), refusal);
  }
}
did('discovery by both documents, token by both methods, API call, revocation');
did('a wrong secret is `invalid_client`, with Basic `WWWAuthenticateChallengeError`');

const { publicKey, privateKey } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
giveKey(await crypto.subtle.exportKey('jwk', publicKey));
const signing = await discover('oauth2', client.PrivateKeyJwt(privateKey));
for (let i = 0; i < 2; i++) {
  const { access_token: token } = await client.clientCredentialsGrant(signing, { scope: SCOPE });
  assert.ok(await accepted(token));
}
const { privateKey: another } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
const forging = await discover('oauth2', client.PrivateKeyJwt(another));
await assert.rejects(client.clientCredentialsGrant(forging), methods[0][1]);
did('`private_key_jwt`');

done('openid-client');
