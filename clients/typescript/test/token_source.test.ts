import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, QuotaReached, type SealwrightError, type TokenRequest } from '../src/index.js';
import { type FakeAnswer, FakeClock, response, settle, unreachable } from './fakes.js';
import { vectors } from './vectors.js';

type Server = FakeAnswer | { readonly token: string; readonly expires_in: number } | 'unreachable';

interface Step {
  readonly advance?: number;
  readonly step?: number;
  readonly token?: TokenRequest;
  readonly rejected?: string;
  readonly callers?: number;
  readonly server?: Server;
  readonly returns?: string | readonly string[] | null;
  readonly raises?: string;
  readonly retry_after?: number;
  readonly resets_in?: number;
  readonly requests?: number;
}

interface Case {
  readonly name: string;
  readonly steps: readonly Step[];
}

const { now, cases } = vectors<{ now: number; cases: Case[] }>('token_source.json');
const KNOWN =
  'advance step token rejected callers server returns raises retry_after resets_in requests'.split(' ');
let ran = 0;

for (const { name, steps } of cases) {
  test(`the token source: ${name}`, async () => {
    const clock = new FakeClock(now);
    let server: Server | undefined;
    let requests = 0;
    const fetch = async () => {
      requests += 1;
      assert.ok(server, 'a request that this step must not send');
      if (server === 'unreachable') throw unreachable();
      if ('status' in server) return response(server);
      const { token, expires_in } = server;
      return response({
        status: 200,
        body: { access_token: token, token_type: 'Bearer', expires_in, scope: '' },
      });
    };
    const client = new Client({
      baseUrl: 'https://auth.example',
      clientId: 'a',
      clientSecret: 's',
      fetch,
      clock,
    });
    for (const [index, step] of steps.entries()) {
      const at = `step ${index}`;
      for (const member of Object.keys(step)) assert.ok(KNOWN.includes(member), `${at}: ${member}`);
      if (step.advance !== undefined) await clock.advance(step.advance);
      if (step.step !== undefined) clock.step(step.step);
      if (!step.token) continue;
      server = step.server;
      const ask = () =>
        step.rejected === undefined
          ? client.token(step.token)
          : client.renewed(step.rejected, step.token).then((token) => token ?? null);
      const results = await Promise.allSettled(Array.from({ length: step.callers ?? 1 }, ask));
      await settle();
      for (const result of results) {
        if (step.raises === undefined) {
          assert.ok(result.status === 'fulfilled', `${at}: ${(result as PromiseRejectedResult).reason}`);
          assert.ok([step.returns].flat().includes(result.value), `${at}: ${result.value}`);
          continue;
        }
        assert.ok(result.status === 'rejected', at);
        const error = result.reason as SealwrightError & { retryAfter?: number };
        assert.equal(error.name, step.raises, at);
        if (step.retry_after !== undefined) assert.equal(error.retryAfter, step.retry_after, at);
        if (step.resets_in !== undefined) {
          assert.ok(error instanceof QuotaReached && error.resetsAt, at);
          assert.equal((error.resetsAt.getTime() - clock.now()) / 1_000, step.resets_in, at);
        }
      }
      if (results.every(({ status }) => status === 'fulfilled')) {
        assert.equal(
          new Set(results.map((one) => (one as PromiseFulfilledResult<unknown>).value)).size,
          1,
          at,
        );
      }
      if (step.requests !== undefined) assert.equal(requests, step.requests, at);
    }
    ran += 1;
  });
}

test('every case of token_source.json was run', () => {
  assert.ok(cases.length > 0);
  assert.equal(ran, cases.length);
});
