import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Delta, Revocations } from '../src/revocations.js';

const NOW = 1_800_000_000;

const delta = (
  since: number | null,
  version: number,
  tokens: readonly (readonly [string, number])[],
): Delta => ({
  since,
  version,
  tokens,
  agents: [],
  orgs: [],
  keys: [],
});

test('a month of revocations is held for as long as each matters, and no longer', () => {
  const revocations = new Revocations();
  let version = 0;
  let most = 0;
  // One a second, of tokens that live for ten minutes.
  for (let second = 0; second < 30 * 86_400; second += 60) {
    const now = (NOW + second) * 1_000;
    const tokens = Array.from(
      { length: 60 },
      (_, n) => [`jti-${second + n}`, NOW + second + n + 600] as const,
    );
    assert.ok(revocations.apply(delta(version || null, version + 1, tokens), now));
    version += 1;
    most = Math.max(most, revocations.size);
  }
  assert.ok(most <= 600 + 120 + 4 * 60, `${most} entries`);
});

test('deltas in any cut equal the whole list', () => {
  const entries = Array.from({ length: 200 }, (_, n) => [`jti-${n}`, NOW + 600 + n] as const);
  for (let seed = 1; seed <= 50; seed += 1) {
    const whole = new Revocations();
    whole.apply(delta(null, entries.length, entries), NOW * 1_000);
    const parts = new Revocations();
    parts.apply(delta(null, 0, []), NOW * 1_000);
    for (let at = 0, step = seed; at < entries.length; step = (step * 48_271) % 2_147_483_647) {
      const end = Math.min(entries.length, at + 1 + (step % 17));
      assert.ok(parts.apply(delta(at, end, entries.slice(at, end)), NOW * 1_000));
      // One that was applied already, or comes out of order, changes nothing.
      if (end !== at) assert.ok(!parts.apply(delta(at, end + 1, [['never', NOW + 600]]), NOW * 1_000));
      at = end;
    }
    assert.deepEqual(parts.snapshot(), whole.snapshot());
    for (const late of [700, 800, 1_000]) {
      for (const list of [whole, parts]) list.forget((NOW + late) * 1_000);
      assert.deepEqual(parts.snapshot(), whole.snapshot());
    }
  }
});
