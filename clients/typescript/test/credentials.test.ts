import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Client, NoCredentials } from '../src/index.js';
import { FakeClock, response } from './fakes.js';
import { vectors } from './vectors.js';

interface Step {
  readonly files: Readonly<Record<string, string | null>>;
  readonly sends: Readonly<Record<string, string>> | null;
}

interface Case {
  readonly name: string;
  readonly given: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
  readonly refused?: boolean;
  readonly steps?: readonly Step[];
}

const { cases } = vectors<{ cases: Case[] }>('credentials.json');
const OPTIONS: Readonly<Record<string, string>> = {
  client_id: 'clientId',
  client_secret: 'clientSecret',
  client_secret_file: 'clientSecretFile',
  assertion_file: 'assertionFile',
};
let ran = 0;

for (const { name, given, environment, refused, steps } of cases) {
  test(`credentials: ${name}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sealwright-'));
    const placed = (value: string) => value.replace('file:', `${folder}/`);
    const env = Object.fromEntries(Object.entries(environment).map(([key, value]) => [key, placed(value)]));
    const options = Object.fromEntries(
      Object.entries(given).map(([key, value]) => [OPTIONS[key] as string, placed(value)]),
    );
    const forms: Record<string, string>[] = [];
    const fetch = async (_: unknown, init?: { body?: unknown }) => {
      forms.push(Object.fromEntries(new URLSearchParams(String(init?.body))));
      const body = { access_token: 't', token_type: 'Bearer', expires_in: 600, scope: '' };
      return response({ status: 200, body });
    };
    const make = () =>
      new Client({ baseUrl: 'https://auth.example', env, fetch, clock: new FakeClock(0), ...options });
    if (refused) {
      assert.throws(make, NoCredentials);
    } else {
      const client = make();
      for (const [index, { files, sends }] of (steps ?? []).entries()) {
        for (const [file, text] of Object.entries(files)) {
          await (text === null ? rm(join(folder, file)) : writeFile(join(folder, file), text));
        }
        const scope = `step:${index}`;
        const before = forms.length;
        if (sends === null) {
          await assert.rejects(client.token({ scope }), NoCredentials, scope);
          assert.equal(forms.length, before, scope);
          continue;
        }
        await client.token({ scope });
        assert.deepEqual(forms.at(-1), { grant_type: 'client_credentials', scope, ...sends }, scope);
      }
    }
    await rm(folder, { recursive: true });
    ran += 1;
  });
}

test('every case of credentials.json was run', () => {
  assert.ok(cases.length > 0);
  assert.equal(ran, cases.length);
});
