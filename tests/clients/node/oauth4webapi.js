// oauth4webapi: `private_key_jwt` with an Ed25519 key, as it stands.

import assert from 'node:assert/strict';
import * as oauth from 'oauth4webapi';
import { CLIENT_ID, ISSUER, SCOPE, accepted, did, done, giveKey, refused } from './given.js';

const { publicKey, privateKey } = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify']);
giveKey(await crypto.subtle.exportKey('jwk', publicKey));

// Plain http is for loopback only.
const insecure = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(ISSUER);
const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure });
const server = await oauth.processDiscoveryResponse(issuer, found);
assert.ok(server.token_endpoint_auth_methods_supported.includes('private_key_jwt'));
const client = { client_id: CLIENT_ID };
const ask = async (key) => {
  const parameters = new URLSearchParams({ scope: SCOPE });
  const answer = await oauth.clientCredentialsGrantRequest(server, client, oauth.PrivateKeyJwt(key), parameters, insecure);
  return oauth.processClientCredentialsResponse(server, client, answer);
};
const { access_token: token } = await ask(privateKey);
assert.ok(await accepted(token));
assert.notEqual((await ask(privateKey)).access_token, token);
did('discovery, tokens by `private_key_jwt`');
const revoking = await oauth.revocationRequest(server, client, oauth.ClientSecretPost(process.env.CLIENT_SECRET), token, insecure);
await oauth.processRevocationResponse(revoking);
assert.ok(await refused(token));
const { privateKey: another } = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify']);
await assert.rejects(ask(another), { name: 'ResponseBodyError', status: 401, error: 'invalid_client' });
did('a wrong key is `invalid_client`');

done('oauth4webapi');
