import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { Client, QuotaReached, RateLimited, SealwrightError, Unavailable } from '../src/index.js';
import { type FakeAnswer, FakeClock, response } from './fakes.js';
import { vectors } from './vectors.js';

interface Case {
  readonly name: string;
  readonly answer: FakeAnswer;
  readonly error: string;
  readonly retry_after: number | null;
  readonly resets_in: number | null;
}

const { secret, cases } = vectors<{ secret: string; cases: Case[] }>('errors.json');
let ran = 0;

for (const { name, answer, error, retry_after, resets_in } of cases) {
  test(`an answer of the token endpoint: ${name}`, async () => {
    const clock = new FakeClock(1_800_000_000);
    const fetch = async () => response(answer);
    const client = new Client({
      baseUrl: 'https://auth.example',
      clientId: 'a',
      clientSecret: secret,
      fetch,
      clock,
    });
    const thrown = await client.token().then(
      () => assert.fail('a token'),
      (thrown: unknown) => thrown,
    );
    assert.ok(thrown instanceof SealwrightError);
    assert.equal(thrown.name, error);
    const waits =
      thrown instanceof RateLimited || thrown instanceof Unavailable ? thrown.retryAfter : undefined;
    assert.equal(waits ?? null, retry_after);
    const resets = thrown instanceof QuotaReached ? thrown.resetsAt : undefined;
    assert.equal(resets ? (resets.getTime() - clock.now()) / 1_000 : null, resets_in);
    const told = inspect(thrown) + JSON.stringify(thrown);
    const inForm = new URLSearchParams({ secret }).toString().slice('secret='.length);
    assert.ok(!told.includes(secret) && !told.includes(inForm), told);
    assert.ok(thrown.message.length <= 400 && !/[\p{C}\p{Zl}\p{Zp}]/u.test(thrown.message), thrown.message);
    ran += 1;
  });
}

test('every case of errors.json was run', () => {
  assert.ok(cases.length > 0);
  assert.equal(ran, cases.length);
});
