import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { Client, type ClientOptions, InvalidClient, NoCredentials, Unavailable } from '../src/index.js';
import { FakeClock, response, settle } from './fakes.js';

const SECRET = 'sw_the_secret_of_this_test';

/** A token endpoint that counts: token 1, token 2, and so on. Each request waits until it is released, if it must. */
class Endpoint {
  readonly forms: URLSearchParams[] = [];
  readonly inits: RequestInit[] = [];
  held = false;
  readonly #waiting: (() => void)[] = [];

  readonly fetch = async (_url: string, init: RequestInit = {}): Promise<Response> => {
    this.forms.push(new URLSearchParams(init.body as string));
    this.inits.push(init);
    const body = {
      access_token: `token-${this.forms.length}`,
      token_type: 'Bearer',
      expires_in: 600,
      scope: '',
    };
    if (this.held) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return response({ status: 200, body });
  };

  release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

const make = (endpoint: Endpoint, options: ClientOptions = {}) =>
  new Client({
    baseUrl: 'https://auth.example',
    clientId: 'reporter',
    clientSecret: SECRET,
    fetch: endpoint.fetch,
    clock: new FakeClock(1_800_000_000),
    env: {},
    ...options,
  });

test('a request says what it is for in a form', async () => {
  const endpoint = new Endpoint();
  await make(endpoint).token({ scope: ['db:read', 'db:write'], audience: ['https://a', 'https://b'] });
  assert.deepEqual(
    [...(endpoint.forms[0] ?? [])],
    [
      ['grant_type', 'client_credentials'],
      ['client_id', 'reporter'],
      ['client_secret', SECRET],
      ['scope', 'db:read db:write'],
      ['audience', 'https://a'],
      ['audience', 'https://b'],
    ],
  );
  assert.equal(endpoint.inits[0]?.redirect, 'manual');
});

test('a caller that gives up takes the token from nobody else', async () => {
  const endpoint = new Endpoint();
  endpoint.held = true;
  const client = make(endpoint);
  const gone = new AbortController();
  const first = client.token({ scope: 'db:read', signal: gone.signal });
  const second = client.token({ scope: 'db:read' });
  await settle();
  gone.abort(new Error('the caller has left'));
  await assert.rejects(first, /the caller has left/);
  endpoint.release();
  assert.equal(await second, 'token-1');
  assert.equal(endpoint.forms.length, 1);
});

test('a request goes on when every caller has left, and its token is kept', async () => {
  const endpoint = new Endpoint();
  endpoint.held = true;
  const client = make(endpoint);
  const gone = new AbortController();
  const callers = Array.from({ length: 10 }, () => client.token({ signal: gone.signal }));
  await settle();
  gone.abort();
  for (const { status } of await Promise.allSettled(callers)) assert.equal(status, 'rejected');
  endpoint.release();
  await settle();
  assert.equal(await client.token(), 'token-1');
  assert.equal(endpoint.forms.length, 1);
});

test('a caller that has left already sends nothing', async () => {
  const endpoint = new Endpoint();
  await assert.rejects(make(endpoint).token({ signal: AbortSignal.abort(new Error('left')) }), /left/);
  assert.equal(endpoint.forms.length, 0);
});

test('a thousand callers of four keys cause four requests', async () => {
  const endpoint = new Endpoint();
  const client = make(endpoint);
  const keys = ['db:read', 'db:write'].flatMap((scope) =>
    ['https://a', 'https://b'].map((audience) => ({ scope, audience })),
  );
  const tokens = await Promise.all(Array.from({ length: 1_000 }, (_, n) => client.token(keys[n % 4])));
  assert.equal(new Set(tokens).size, 4);
  assert.equal(endpoint.forms.length, 4);
});

test('a server that does not answer in time is unavailable', async () => {
  const clock = new FakeClock(1_800_000_000);
  const fetch = (_url: string, init?: RequestInit) =>
    new Promise<Response>((_, reject) =>
      init?.signal?.addEventListener('abort', () => reject(new Error('x'))),
    );
  const client = make(new Endpoint(), { fetch, clock, timeout: 10_000 });
  const token = client.token();
  token.catch(() => undefined);
  await clock.advance(10.1);
  await assert.rejects(
    token,
    (error: unknown) => error instanceof Unavailable && /within 10 s/.test(error.message),
  );
});

test('credentials come from the options, then from the environment', async () => {
  const endpoint = new Endpoint();
  const folder = await mkdtemp(join(tmpdir(), 'sealwright-'));
  const file = join(folder, 'secret');
  await writeFile(file, 'from the file\n');
  const asked = async (options: ClientOptions) => {
    const given = { clientId: undefined, clientSecret: undefined, baseUrl: undefined, ...options };
    await make(endpoint, given).token();
    const form = endpoint.forms.at(-1);
    return `${form?.get('client_id')} ${form?.get('client_secret')}`;
  };
  const SEALWRIGHT_URL = 'https://auth.example';
  const SEALWRIGHT_CLIENT_ID = 'of-env';
  const secret = { SEALWRIGHT_URL, SEALWRIGHT_CLIENT_ID, SEALWRIGHT_CLIENT_SECRET: 'env' };
  assert.equal(await asked({ env: secret }), 'of-env env');
  assert.equal(await asked({ env: secret, clientId: 'given', clientSecret: 'mine' }), 'given mine');
  assert.equal(await asked({ env: secret, clientSecretFile: file }), 'of-env from the file');
  const inFile = { SEALWRIGHT_URL, SEALWRIGHT_CLIENT_ID, SEALWRIGHT_CLIENT_SECRET: '' };
  assert.equal(
    await asked({ env: { ...inFile, SEALWRIGHT_CLIENT_SECRET_FILE: file } }),
    'of-env from the file',
  );
  await rm(folder, { recursive: true });
});

test('missing or doubled credentials are told at once', () => {
  const given = (options: ClientOptions) => () =>
    new Client({ baseUrl: 'https://auth.example', env: {}, ...options });
  assert.throws(given({}), NoCredentials);
  assert.throws(given({ clientId: 'a' }), NoCredentials);
  assert.throws(given({ clientSecret: 'a' }), NoCredentials);
  assert.throws(given({ clientId: 'a', clientSecret: 'b', clientSecretFile: 'c' }), NoCredentials);
  const both = { SEALWRIGHT_CLIENT_SECRET: 'a', SEALWRIGHT_CLIENT_SECRET_FILE: 'b' };
  assert.throws(given({ env: { SEALWRIGHT_CLIENT_ID: 'a', ...both } }), NoCredentials);
  for (const baseUrl of [
    'auth.example',
    'ftp://auth.example',
    'https://auth.example?x',
    'https://u:p@auth.example',
  ]) {
    assert.throws(given({ baseUrl, clientId: 'a', clientSecret: 'b' }), TypeError);
  }
});

test('a secret that was rotated in its file is found at the next request', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sealwright-'));
  const clientSecretFile = join(folder, 'secret');
  const endpoint = new Endpoint();
  const clock = new FakeClock(1_800_000_000);
  const client = make(endpoint, { clientSecret: undefined, clientSecretFile, clock });
  await assert.rejects(client.token(), NoCredentials);
  await writeFile(clientSecretFile, 'first');
  await clock.advance(31);
  await client.token();
  await writeFile(clientSecretFile, 'second');
  await clock.advance(700);
  await client.token();
  assert.deepEqual(
    endpoint.forms.map((form) => form.get('client_secret')),
    ['first', 'second'],
  );
  await rm(folder, { recursive: true });
});

test('nothing that a program shows holds a token or a secret', async () => {
  const endpoint = new Endpoint();
  const client = make(endpoint);
  const token = await client.token();
  const refusal = { status: 401, body: { error: 'invalid_client', error_description: 'no' } };
  const refused = make(endpoint, { fetch: async () => response(refusal) });
  const error = await refused.token().catch((error: unknown) => error);
  assert.ok(error instanceof InvalidClient);
  const down = make(endpoint, { fetch: () => Promise.reject(new Error('connect ECONNREFUSED')) });
  const outage = await down.token().catch((error: unknown) => error);
  for (const shown of [client, client.fetch(), refused, error, outage]) {
    const forms = [
      inspect(shown, { depth: 10, showHidden: true, customInspect: false }),
      inspect(shown, { depth: 10, showHidden: true }),
      JSON.stringify(shown) ?? '',
      String(shown),
      JSON.stringify(Object.entries(shown as object)),
      (shown as Error).stack ?? '',
    ];
    for (const text of forms) assert.ok(!text.includes(token) && !text.includes(SECRET), text);
  }
});

test('tokens that nobody asks for any more are not kept', async () => {
  const endpoint = new Endpoint();
  const clock = new FakeClock(1_800_000_000);
  const client = make(endpoint, { clock });
  for (let hour = 0; hour < 20; hour += 1) {
    for (let n = 0; n < 100; n += 1) await client.token({ audience: `https://${hour}-${n}.example` });
    clock.pass(3_600);
  }
  // Each of the 2,000 was asked for once, and is asked for again.
  assert.equal(await client.token({ audience: 'https://0-0.example' }), 'token-2001');
});
