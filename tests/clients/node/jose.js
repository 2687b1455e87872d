// jose: a service that verifies offline, with the JWKS and the revocation list.

import assert from 'node:assert/strict';
import { SignJWT, generateKeyPair } from 'jose';
import { CLIENT_ID, ISSUER, SCOPE, accepted, did, done, metadata, requestToken } from './given.js';
import { provesRevocations } from './front.js';

// recipe: verify
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import { Revocations } from './revocations.js';

// Says what a token's claims are; throws one of jose's errors when it is worth nothing.
class Verifier {
  constructor(issuer, audience) {
    this.issuer = issuer;
    this.audience = audience;
    // Keeps the keys for ten minutes, and looks again when a token names one that it does not know.
    this.keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));
    this.revocations = new Revocations(issuer);
  }

  async verify(token) {
    const { payload } = await jwtVerify(token, this.keys, {
      algorithms: ['RS256'],
      typ: 'at+jwt',
      issuer: this.issuer,
      audience: this.audience,
      requiredClaims: ['exp', 'jti', 'client_id', 'epoch'],
    });
    if (this.revocations.has(payload)) throw new errors.JWTInvalid('the token was revoked');
    return payload;
  }
}
// end of recipe

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

// The same claims under a key of our own, so that the type alone decides.
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

done('jose');
