import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidToken, Verifier } from '../src/index.js';
import { FakeClock, response } from './fakes.js';
import { vectors } from './vectors.js';

type Text = string | readonly (readonly [string, number])[];

interface Case {
  readonly name: string;
  readonly token: Text;
  readonly at?: number;
  readonly verdict: string;
  readonly claims?: Record<string, unknown>;
}

interface File {
  readonly now: number;
  readonly issuer: string;
  readonly audience: string;
  readonly jwks: unknown;
  readonly cases: readonly Case[];
}

const { now, issuer, audience, jwks, cases } = vectors<File>('tokens.json');
const text = (token: Text) =>
  typeof token === 'string' ? token : token.map(([part, times]) => part.repeat(times)).join('');
let ran = 0;

/** A verifier with the keys of the file and an empty list. */
function makeVerifier(clock: FakeClock): Verifier {
  const empty = { revoked_tokens: [], revoked_agents: [], revoked_orgs: [], revoked_keys: [] };
  const fetch = async (url: string): Promise<Response> => {
    if (url.includes('oauth-authorization-server')) return response({ status: 200, body: { issuer } });
    if (url.includes('jwks.json')) return response({ status: 200, body: jwks });
    if (url.includes('since=0'))
      return response({ status: 200, body: { since: null, version: 1, ...empty } });
    return new Promise(() => undefined);
  };
  return new Verifier({ issuer, audience, clock, fetch });
}

for (const { name, token, at, verdict, claims } of cases) {
  test(`a token: ${name}`, async () => {
    const clock = new FakeClock(at ?? now);
    const verifier = makeVerifier(clock);
    // Twice, since a token that was seen takes another way.
    for (const time of ['first', 'second']) {
      const judged = verifier.verify(text(token)).then(
        (claims) => ({ verdict: 'accept', claims }),
        (error: unknown) => {
          assert.ok(error instanceof InvalidToken, `${time}: ${error}`);
          return { verdict: error.reason, claims: undefined };
        },
      );
      const told = await clock.through(judged);
      assert.equal(told.verdict, verdict, time);
      if (!claims) continue;
      const { clientId, highRisk, sub, scopes, aud, jti, epoch } = told.claims ?? assert.fail('no claims');
      assert.deepEqual({ client_id: clientId, high_risk: highRisk, sub, scopes, aud, jti, epoch }, claims);
    }
    await verifier.close();
    ran += 1;
  });
}

test('every case of tokens.json was run', () => {
  assert.ok(cases.length > 0);
  assert.equal(ran, cases.length);
});
