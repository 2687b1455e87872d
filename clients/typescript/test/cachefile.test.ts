import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Kept, readFile, writeFile } from '../src/cachefile.js';

const ISSUER = 'https://auth.example';

/** A list of so many tokens. */
function kept(count: number): Kept {
  const tokens = Array.from({ length: count }, (_, n) => [`jti-${n}`, 1_800_000_000] as const);
  const list = { version: count, tokens, agents: [], orgs: [], keys: [] };
  return { snapshot: { since: null, forgottenUntil: 0, ...list }, heardAt: 1 };
}

test('a file that several processes write at once is always a whole one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sealwright-'));
  const path = join(folder, 'revoked.json');
  const counts = [1, 5_000, 10, 8_000, 100, 2_000];
  await Promise.all(counts.map((count) => writeFile(path, ISSUER, kept(count))));
  const read = await readFile(path, ISSUER);
  assert.ok(read && read.snapshot.tokens.length === read.snapshot.version);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(folder), ['revoked.json']);
  await rm(folder, { recursive: true });
});

test('a file that cannot be put in place leaves nothing beside it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sealwright-'));
  const path = join(folder, 'revoked.json');
  await mkdir(path);
  await assert.rejects(writeFile(path, ISSUER, kept(1)));
  assert.equal(await readFile(path, ISSUER), undefined);
  assert.deepEqual(await readdir(folder), ['revoked.json']);
  await rm(folder, { recursive: true });
});
