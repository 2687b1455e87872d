import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '../src/index.js';
import { FakeClock } from './fakes.js';

const API = 'https://api.example/rows';
const DEAD = { 'www-authenticate': 'Bearer error="invalid_token", error_description="dead"' };

/** A server and an API behind one `fetch`. The API refuses the tokens of which `dead` says so. */
function world(dead: (token: string) => boolean, challenge: Record<string, string> = DEAD) {
  const calls: { readonly token: string; readonly body: string }[] = [];
  let issued = 0;
  const clock = new FakeClock(1_800_000_000);
  const fetch = async (input: unknown): Promise<Response> => {
    if (typeof input === 'string') {
      issued += 1;
      const token = { access_token: `token-${issued}`, token_type: 'Bearer', expires_in: 600, scope: '' };
      return Response.json(token);
    }
    const request = input as Request;
    const token = request.headers.get('authorization')?.replace('Bearer ', '') ?? '';
    calls.push({ token, body: await request.text() });
    return dead(token) ? new Response('dead', { status: 401, headers: challenge }) : new Response('rows');
  };
  const options = { baseUrl: 'https://auth.example', clientId: 'a', clientSecret: 's', clock };
  const client = new Client({ ...options, fetch: fetch as never });
  return { call: client.fetch({ scope: 'db:read' }), calls, clock, issued: () => issued };
}

test('a call carries a token', async () => {
  const { call, calls } = world(() => false);
  assert.equal(await (await call(API)).text(), 'rows');
  assert.deepEqual(calls, [{ token: 'token-1', body: '' }]);
});

test('after a 401 a call is sent once more, with another token and the same body', async () => {
  const bodies = ['text', new URLSearchParams('a=b'), new TextEncoder().encode('bytes'), new Blob(['blob'])];
  for (const body of bodies) {
    const { call, calls } = world((token) => token === 'token-1');
    const response = await call(API, { method: 'POST', body });
    assert.equal(response.status, 200);
    assert.deepEqual(
      calls.map(({ token }) => token),
      ['token-1', 'token-2'],
    );
    assert.ok(calls[0]?.body);
    assert.equal(calls[0]?.body, calls[1]?.body);
  }
});

test('an API that refuses every token sees two calls, and then one each', async () => {
  const { call, calls, clock, issued } = world(() => true);
  assert.equal((await call(API)).status, 401);
  assert.equal(calls.length, 2);
  for (let n = 0; n < 5; n += 1) assert.equal((await call(API)).status, 401);
  assert.equal(calls.length, 7);
  assert.equal(issued(), 2);
  clock.pass(31);
  await call(API);
  assert.equal(issued(), 3);
});

test('a hundred calls with a dead token cause one renewal', async () => {
  const { call, calls, issued } = world((token) => token === 'token-1');
  const answers = await Promise.all(Array.from({ length: 100 }, () => call(API)));
  assert.ok(answers.every(({ status }) => status === 200));
  assert.equal(calls.length, 200);
  assert.equal(issued(), 2);
});

test('a 401 about something else is the caller’s', async () => {
  for (const challenge of ['Bearer', 'Basic realm="x"', 'Bearer error="insufficient_scope"', '']) {
    const { call, calls, issued } = world(() => true, challenge ? { 'www-authenticate': challenge } : {});
    assert.equal((await call(API)).status, 401);
    assert.deepEqual([calls.length, issued()], [1, 1], challenge);
  }
});

test('a 401 from where a redirection led repeats nothing', async () => {
  let calls = 0;
  const fetch = async (input: unknown): Promise<Response> => {
    if (typeof input === 'string')
      return Response.json({ access_token: 'token-1', token_type: 'Bearer', expires_in: 600 });
    calls += 1;
    const response = new Response('', { status: 401, headers: DEAD });
    Object.defineProperty(response, 'url', { value: 'https://evil.example/rows' });
    return response;
  };
  const options = { baseUrl: 'https://auth.example', clientId: 'a', clientSecret: 's' };
  const call = new Client({ ...options, fetch: fetch as never }).fetch();
  assert.equal((await call(API)).status, 401);
  assert.equal(calls, 1);
});

test('a body that can be read once is sent once', async () => {
  const { call, calls } = world(() => true);
  const body = new Blob(['stream']).stream();
  const init = { method: 'POST', body, duplex: 'half' } as RequestInit;
  assert.equal((await call(API, init)).status, 401);
  assert.deepEqual(calls, [{ token: 'token-1', body: 'stream' }]);
});

test('a Request is sent as it is, with its own headers', async () => {
  const { call, calls } = world((token) => token === 'token-1');
  const request = new Request(API, { method: 'PUT', body: 'text', headers: { 'x-other': '1' } });
  assert.equal((await call(request)).status, 200);
  assert.deepEqual(
    calls.map(({ body }) => body),
    ['text', 'text'],
  );
});
