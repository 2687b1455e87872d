import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidToken, Unavailable, Verifier } from '../src/index.js';
import { FakeClock, response, settle, unreachable } from './fakes.js';
import { vectors } from './vectors.js';

interface Step {
  readonly publish?: readonly string[] | 'unreachable' | 'page';
  readonly then?: readonly string[] | 'unreachable' | 'page';
  readonly verify?: readonly string[];
  readonly verdict?: string;
  readonly fetches?: number;
  readonly advance?: number;
  readonly step?: number;
}

interface File {
  readonly now: number;
  readonly issuer: string;
  readonly audience: string;
  readonly jwks: Readonly<Record<string, unknown>>;
  readonly tokens: Readonly<Record<string, string>>;
  readonly cases: readonly { readonly name: string; readonly steps: readonly Step[] }[];
}

const { now, issuer, audience, jwks, tokens, cases } = vectors<File>('keys.json');
let ran = 0;

/** A verifier with an empty list, and an issuer that publishes what the test says. */
function scene() {
  const clock = new FakeClock(now);
  const published = {
    what: [] as NonNullable<Step['publish']>,
    later: undefined as Step['then'],
    fetches: 0,
  };
  const empty = { revoked_tokens: [], revoked_agents: [], revoked_orgs: [], revoked_keys: [] };
  const fetch = async (url: string): Promise<Response> => {
    if (url.includes('oauth-authorization-server')) return response({ status: 200, body: { issuer } });
    if (url.includes('jwks.json')) {
      published.fetches += 1;
      const { what, later } = published;
      published.what = later ?? what;
      published.later = undefined;
      if (what === 'unreachable') throw unreachable();
      if (what === 'page') return response({ status: 200, body: '<html></html>' });
      return response({ status: 200, body: { keys: what.map((name) => jwks[name]) } });
    }
    if (url.includes('since=0'))
      return response({ status: 200, body: { since: null, version: 1, ...empty } });
    return new Promise(() => undefined);
  };
  return {
    clock,
    published,
    verifier: new Verifier({ issuer, audience, clock, fetch, whenStale: 'accept' }),
  };
}

async function verdictOf(verifier: Verifier, token: string): Promise<string> {
  return verifier.verify(token).then(
    () => 'accept',
    (error: unknown) => {
      if (error instanceof InvalidToken) return error.reason;
      assert.ok(error instanceof Unavailable, String(error));
      return 'unavailable';
    },
  );
}

for (const { name, steps } of cases) {
  test(`keys: ${name}`, async () => {
    const { clock, published, verifier } = scene();
    for (const [at, step] of steps.entries()) {
      if (step.publish !== undefined) {
        published.what = step.publish;
        published.later = step.then;
      } else if (step.advance !== undefined) clock.pass(step.advance);
      else if (step.step !== undefined) clock.step(step.step);
      else {
        for (const one of step.verify ?? assert.fail('a step that this test does not know')) {
          const verdict = await clock.through(verdictOf(verifier, tokens[one] ?? ''));
          assert.equal(verdict, step.verdict, `step ${at + 1}: ${one}`);
        }
        await settle();
        assert.equal(published.fetches, step.fetches, `step ${at + 1}`);
      }
    }
    await verifier.close();
    ran += 1;
  });
}

test('every case of keys.json was run', () => {
  assert.ok(cases.length > 0);
  assert.equal(ran, cases.length);
});
