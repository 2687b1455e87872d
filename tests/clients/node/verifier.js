// What a Node service does with a token, whatever framework it uses.

// recipe: verify
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import { Revocations } from './revocations.js';

// The keys cannot be had, so nobody knows whether the token is good.
export class Unavailable extends Error {}

// Says what a token's claims are; throws one of jose's errors when it is worth nothing, and Unavailable when it cannot tell.
export class Verifier {
  constructor(issuer, audience) {
    this.issuer = issuer;
    this.audience = audience;
    // Keeps the keys for ten minutes, and looks again when a token names one that it does not know.
    const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));
    this.keys = async (header, token) => {
      try {
        return await keys(header, token);
      } catch (error) {
        // A key that the server does not publish is the token's fault. All else is not, though jose's errors tell of it too.
        if (error instanceof errors.JWKSNoMatchingKey) throw error;
        throw new Unavailable('the keys cannot be had', { cause: error });
      }
    };
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
