// jose: a service that verifies tokens offline, with the JWKS and the revocation list.

import assert from 'node:assert/strict';
import { SignJWT, errors, generateKeyPair } from 'jose';
import { CLIENT_ID, ISSUER, SCOPE, accepted, did, done, metadata, requestToken } from './given.js';
import { openFront, provesRevocations } from './front.js';
import { Unavailable, Verifier } from './verifier.js';

assert.equal(metadata.jwks_uri, `${ISSUER}/.well-known/jwks.json`);
const AUDIENCE = 'https://db.example';
const verifier = new Verifier(ISSUER, AUDIENCE);
const token = await requestToken({ audience: AUDIENCE, scope: SCOPE });
const claims = await verifier.verify(token);
assert.deepEqual([claims.sub, claims.client_id, claims.scope], [CLIENT_ID, CLIENT_ID, SCOPE]);
assert.ok(await accepted(token));
did('`createRemoteJWKSet`: verified offline');

await assert.rejects(verifier.verify(await requestToken({})), errors.JWTClaimValidationFailed);
await assert.rejects(verifier.verify(token.slice(0, -8) + 'AAAAAAAA'), errors.JWSSignatureVerificationFailed);

// The same claims, signed with a key of our own, so that only the `typ` decides.
const { privateKey, publicKey } = await generateKeyPair('RS256');
const typed = (typ) => new SignJWT(claims).setProtectedHeader({ alg: 'RS256', typ }).sign(privateKey);
const own = Object.assign(new Verifier(ISSUER, AUDIENCE), { keys: publicKey });
await own.verify(await typed('at+jwt'));
await assert.rejects(own.verify(await typed('JWT')), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED', claim: 'typ' });
did('another audience, a forged signature and another `typ` are refused');

await provesRevocations(
  verifier.revocations,
  () => requestToken({ audience: AUDIENCE }),
  (token) => verifier.verify(token).then(() => true, (error) => {
    assert.match(error.message, /^the token was revoked$/);
    return false;
  }),
);
did('a revoked `jti` and a revoked agent are refused, and stay refused while the list cannot be had');

const front = await openFront();
const elsewhere = new Verifier(front.url, AUDIENCE);
const fresh = await requestToken({ audience: AUDIENCE });
for (const mode of ['keyless', 'gone']) {
  front.mode = mode;
  await assert.rejects(elsewhere.verify(fresh), Unavailable);
}
front.mode = 'pass';
await assert.rejects(elsewhere.verify(fresh), { claim: 'iss' });
front.close();
did('keys that cannot be had are no verdict');

done('jose');
