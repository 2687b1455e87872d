// jose: a service that verifies offline, with the JWKS and the revocation list.

import assert from 'node:assert/strict';
import { CLIENT_ID, ISSUER, SCOPE, accepted, done, metadata, requestToken, revoke } from './given.js';

// recipe: verify
import { createHash } from 'node:crypto';
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';

// Says what a token's claims are; throws one of jose's errors when it is worth nothing.
class Verifier {
  #etag = '';
  #jtis = new Set();
  #epochs = new Map();

  constructor(issuer, audience) {
    this.issuer = issuer;
    this.audience = audience;
    // Keeps the keys for ten minutes, and looks again when a token names one that it does not know.
    this.keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));
  }

  // Call this every few seconds: a revocation is known after one poll. Nearly all answers are 304.
  async poll() {
    const answer = await fetch(`${this.issuer}/api/v1/token/revoked`, { headers: { 'if-none-match': this.#etag } });
    if (answer.status === 304) return;
    if (!answer.ok) throw new Error(`the revocation list: ${answer.status}`);
    const revoked = await answer.json();
    this.#jtis = new Set(revoked.revoked_jtis);
    this.#epochs = new Map(revoked.revoked_agents.map(({ agent, epoch }) => [agent, epoch]));
    this.#etag = answer.headers.get('etag');
  }

  async verify(token) {
    const { payload } = await jwtVerify(token, this.keys, {
      algorithms: ['RS256'],
      typ: 'at+jwt',
      issuer: this.issuer,
      audience: this.audience,
      requiredClaims: ['exp', 'jti', 'client_id', 'epoch'],
    });
    const agent = createHash('sha256').update(payload.client_id).digest('base64url');
    if (this.#jtis.has(payload.jti) || payload.epoch < (this.#epochs.get(agent) ?? 0)) {
      throw new errors.JWTInvalid('the token was revoked');
    }
    return payload;
  }
}
// end of recipe

assert.equal(metadata.jwks_uri, `${ISSUER}/.well-known/jwks.json`);
const verifier = new Verifier(ISSUER, 'https://db.example');
await verifier.poll();
const token = await requestToken({ audience: 'https://db.example', scope: SCOPE });
const claims = await verifier.verify(token);
assert.deepEqual([claims.sub, claims.client_id, claims.scope], [CLIENT_ID, CLIENT_ID, SCOPE]);
assert.ok(await accepted(token));
await verifier.poll();
await verifier.verify(token);

await assert.rejects(verifier.verify(await requestToken({})), errors.JWTClaimValidationFailed);
await assert.rejects(verifier.verify(token.slice(0, -8) + 'AAAAAAAA'), errors.JWSSignatureVerificationFailed);

await revoke(token);
await verifier.poll();
await assert.rejects(verifier.verify(token), /revoked/);

done('jose', '`createRemoteJWKSet`: verified offline; another audience, a forged signature and a revoked `jti` are refused');
