// @badgateway/oauth2-client: finds every endpoint by the server's URL (RFC 8414), and can revoke tokens.

import assert from 'node:assert/strict';
import { OAuth2Client } from '@badgateway/oauth2-client';
import { CLIENT_ID, CLIENT_SECRET, ISSUER, SCOPE, WRONG_SECRET, accepted, did, done, refused } from './given.js';

const connect = (clientSecret) => new OAuth2Client({ server: ISSUER, clientId: CLIENT_ID, clientSecret });

const client = connect(CLIENT_SECRET);
const token = await client.clientCredentials({ scope: SCOPE.split(' ') });
assert.ok(token.expiresAt > Date.now() && token.expiresAt <= Date.now() + 600_000);
assert.ok(await accepted(token.accessToken));
did('discovery, token');
await client.revoke(token);
assert.ok(await refused(token.accessToken));
did('revocation');

await assert.rejects(connect(WRONG_SECRET).clientCredentials(), { oauth2Code: 'invalid_client', httpCode: 401 });
did('a wrong secret is `invalid_client`');

done('@badgateway/oauth2-client');
