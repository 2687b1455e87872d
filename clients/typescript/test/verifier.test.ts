import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import {
  Client,
  InsufficientScope,
  InvalidToken,
  Unavailable,
  Verifier,
  type VerifierOptions,
} from '../src/index.js';
import { FakeClock, response, settle } from './fakes.js';
import { AUDIENCE, ISSUER, Issuer } from './issuer.js';

const NOW = 1_800_000_000;

async function scene(options: Partial<VerifierOptions> = {}) {
  const clock = new FakeClock(NOW);
  const issuer = await Issuer.make(clock);
  const { fetch } = issuer;
  const verifier = new Verifier({ issuer: ISSUER, audience: AUDIENCE, clock, fetch, ...options });
  await verifier.start();
  return { clock, issuer, verifier };
}

const reason = (wanted: string) => (error: unknown) =>
  error instanceof InvalidToken && error.reason === wanted;

test('the keys are fetched once for any number of tokens', async () => {
  const { issuer, verifier } = await scene();
  const tokens = await Promise.all(Array.from({ length: 50 }, () => issuer.token()));
  await Promise.all(tokens.map((token) => verifier.verify(token)));
  assert.equal(issuer.asked.keys, 1);
  assert.equal(issuer.asked.metadata, 1);
  await verifier.close();
});

test('a key that is new is found at once, and the keys are asked for twice in 30 s at most', async () => {
  const { clock, issuer, verifier } = await scene();
  await verifier.verify(await issuer.token());
  await issuer.rotate();
  await verifier.verify(await issuer.token());
  assert.equal(issuer.asked.keys, 2);

  const stranger = await Issuer.make(clock);
  await stranger.rotate();
  clock.pass(10);
  const old = await stranger.token({ iat: NOW - 60 });
  for (let n = 0; n < 100; n += 1) await assert.rejects(verifier.verify(old), reason('key'));
  assert.equal(issuer.asked.keys, 2);
  clock.pass(25);
  const all = Promise.all(
    Array.from({ length: 100 }, () => assert.rejects(verifier.verify(old), reason('key'))),
  );
  await clock.through(all);
  assert.equal(issuer.asked.keys, 4);
  await verifier.close();
});

test('the keys are kept through an outage, and nobody can tell of an unknown one', async () => {
  const { clock, issuer, verifier } = await scene({ whenStale: 'accept' });
  await verifier.verify(await issuer.token());
  issuer.away = true;
  clock.pass(3_600);
  await verifier.verify(await issuer.token());
  await issuer.rotate();
  await assert.rejects(verifier.verify(await issuer.token()), Unavailable);
  issuer.away = false;
  clock.pass(31);
  await verifier.verify(await issuer.token());
  await verifier.close();
});

test('a seen token is dead when its key leaves the set', async () => {
  const { clock, issuer, verifier } = await scene();
  const token = await issuer.token();
  await verifier.verify(token);
  await issuer.rotate('drop');
  clock.pass(301);
  // The set is fetched beside this use.
  await verifier.verify(token);
  await settle();
  await clock.through(assert.rejects(verifier.verify(token), reason('key')));
  await verifier.close();
});

test('a seen token costs no signature, and expires', async () => {
  const { clock, issuer, verifier } = await scene();
  const token = await issuer.token();
  const first = await verifier.verify(token);
  assert.equal(await verifier.verify(token), first);
  assert.ok(Object.isFrozen(first) && Object.isFrozen(first.scopes) && Object.isFrozen(first.payload));
  clock.pass(600);
  await assert.rejects(verifier.verify(token), reason('expired'));
  await verifier.close();
});

test('metadata of another issuer, keys that are none, and a JWKS of other kinds are no keys', async () => {
  const { issuer } = await scene();
  const token = await issuer.token();
  const answers = [{ issuer: 'https://other.example' }, { issuer: ISSUER, jwks_uri: `${ISSUER}/status` }];
  for (const body of answers) {
    const fetch = async (url: string) => {
      if (url.includes('/status')) return response({ status: 200, body: { status: 'ok' } });
      return response({ status: 200, body });
    };
    const verifier = new Verifier({ issuer: ISSUER, audience: AUDIENCE, clock: new FakeClock(NOW), fetch });
    await assert.rejects(verifier.verify(token), Unavailable);
    await verifier.close();
  }
});

test('where the server is reached by another name, everything is asked for there', async () => {
  const asked: string[] = [];
  const clock = new FakeClock(NOW);
  const issuer = await Issuer.make(clock);
  const fetch = (url: string, init?: RequestInit) => {
    asked.push(new URL(url).origin);
    return issuer.fetch(url, init);
  };
  const options = {
    issuer: ISSUER,
    baseUrl: 'http://sealwright.internal:3000',
    audience: AUDIENCE,
    clock,
    fetch,
  };
  const verifier = new Verifier(options);
  await verifier.verify(await issuer.token());
  await settle();
  assert.deepEqual([...new Set(asked)], ['http://sealwright.internal:3000']);
  await verifier.close();
});

test('without a background, nothing happens but on use', async () => {
  const { clock, issuer, verifier } = await scene({ background: false });
  const [token, dead] = [await issuer.token(), await issuer.token({ jti: 'dead' })];
  await Promise.all([verifier.verify(token), verifier.verify(dead)]);
  assert.equal(issuer.asked.list, 1);
  assert.equal(clock.waiting, 0);
  issuer.revoke('dead');
  clock.pass(11);
  await verifier.verify(dead);
  assert.equal(issuer.asked.list, 1);
  clock.pass(5);
  await assert.rejects(verifier.verify(dead), reason('revoked'));
  await verifier.verify(token);
  assert.equal(issuer.asked.list, 2);

  issuer.away = true;
  clock.pass(300);
  await verifier.verify(token);
  await assert.rejects(verifier.verify(await issuer.token({ risk: 'high' })), Unavailable);
  issuer.away = false;
  clock.pass(2);
  await verifier.verify(await issuer.token({ risk: 'high' }));
  await verifier.close();
});

test('nothing in claims can be changed, and what is no text is malformed', async () => {
  const { issuer, verifier } = await scene();
  const claims = await verifier.verify(await issuer.token({ later: { list: [1, { x: 2 }] } }));
  const later = claims.payload['later'] as { list: [number, { x: number }] };
  assert.throws(() => later.list.push(3), TypeError);
  assert.throws(() => {
    later.list[1].x = 3;
  }, TypeError);
  for (const nothing of [undefined, null, 7, {}] as unknown[] as string[])
    await assert.rejects(verifier.verify(nothing), reason('malformed'));
  await verifier.close();
});

test('a scope that is missing is named', async () => {
  const { issuer, verifier } = await scene();
  const token = await issuer.token({ scope: 'db:read files:read' });
  await verifier.verifyScope(token, 'db:read', 'files:read');
  await assert.rejects(
    verifier.verifyScope(token, 'db:read', 'db:write', 'a'),
    (error: unknown) => error instanceof InsufficientScope && error.scope === 'db:write a',
  );
  await verifier.close();
});

test('a token of a killed organization is refused, and one of a later epoch passes', async () => {
  const clock = new FakeClock(NOW);
  const issuer = await Issuer.make(clock);
  const none = { revoked_tokens: [], revoked_agents: [], revoked_keys: [] };
  const orgs = [{ orgId: 'acme', epoch: 7, exp: NOW + 86_400 }];
  const fetch = async (url: string, init?: RequestInit) => {
    if (!url.includes('since=0'))
      return url.includes('since=') ? new Promise<Response>(() => undefined) : issuer.fetch(url, init);
    return response({ status: 200, body: { since: null, version: 1, revoked_orgs: orgs, ...none } });
  };
  const verifier = new Verifier({ issuer: ISSUER, audience: AUDIENCE, clock, fetch });
  const of = (org_id: string, org_epoch: number) => issuer.token({ org_id, org_epoch });
  await assert.rejects(verifier.verify(await of('acme', 6)), reason('revoked'));
  await verifier.verify(await of('acme', 7));
  await verifier.verify(await of('other', 1));
  await verifier.verify(await issuer.token());
  // Without one, the epoch is 0.
  await assert.rejects(verifier.verify(await issuer.token({ org_id: 'acme' })), reason('revoked'));
  await verifier.close();
});

test('it reports what it enforces, with a token that proves who reports', async () => {
  const clock = new FakeClock(NOW);
  const issuer = await Issuer.make(clock);
  const reports: [string | null, string | null][] = [];
  const fetch = (url: string, init?: RequestInit) => {
    const headers = new Headers(init?.headers);
    if (url.includes('since='))
      reports.push([headers.get('sealwright-verifier'), headers.get('authorization')]);
    return issuer.fetch(url, init);
  };
  const token = { access_token: 'proof', token_type: 'Bearer', expires_in: 600 };
  const client = new Client({
    baseUrl: ISSUER,
    clientId: 'a',
    clientSecret: 's',
    clock,
    fetch: async () => response({ status: 200, body: token }),
  });
  const verifier = new Verifier({
    issuer: ISSUER,
    audience: AUDIENCE,
    clock,
    fetch,
    client,
    instance: 'pod 1',
  });
  await verifier.start();
  await clock.advance(1);
  assert.deepEqual(reports, [
    [null, 'Bearer proof'],
    ['api.example/pod-1; version=1', 'Bearer proof'],
  ]);
  await verifier.close();
});

for (const [why, status, error, name] of [
  ['is late', 503, 'temporarily_unavailable', null],
  ['is refused', 401, 'invalid_client', 'api.example/pod-1; version=1'],
] as const) {
  test(`while its token ${why}, a poll ${name ? 'reports without a proof' : 'reports nothing'}`, async () => {
    const clock = new FakeClock(NOW);
    const issuer = await Issuer.make(clock);
    const reports: [string | null, string | null][] = [];
    const fetch = (url: string, init?: RequestInit) => {
      const headers = new Headers(init?.headers);
      if (url.includes('since=') && !url.includes('since=0'))
        reports.push([headers.get('sealwright-verifier'), headers.get('authorization')]);
      return issuer.fetch(url, init);
    };
    const client = new Client({
      baseUrl: ISSUER,
      clientId: 'a',
      clientSecret: 's',
      clock,
      fetch: async () => response({ status, body: { error } }),
    });
    const errors: unknown[] = [];
    const onError = (error: unknown) => errors.push(error);
    const options = { issuer: ISSUER, audience: AUDIENCE, instance: 'pod 1' };
    const verifier = new Verifier({ ...options, clock, fetch, client, onError });
    await verifier.start();
    await clock.advance(1);
    assert.deepEqual(reports, [[name, null]]);
    assert.ok(errors.length > 0);
    await verifier.close();
  });
}

test('nothing that a program shows of a verifier holds a token', async () => {
  const { issuer, verifier } = await scene();
  const token = await issuer.token();
  await verifier.verify(token);
  const forms = [
    inspect(verifier, { depth: 20, showHidden: true, customInspect: false }),
    inspect(verifier),
    JSON.stringify(verifier),
    String(verifier),
  ];
  for (const text of forms)
    assert.ok(!text.includes(token) && !text.includes(token.split('.')[2] as string), text);
  const error = await verifier.verify(`${token.slice(0, -8)}AAAAAAAA`).catch((error: unknown) => error);
  assert.ok(error instanceof InvalidToken);
  assert.ok(!inspect(error, { depth: 20 }).includes(token.slice(0, 40)));
  await verifier.close();
});

test('a month with outages, rotations and revocations refuses no good token and keeps nothing', async () => {
  const { clock, issuer, verifier } = await scene();
  const HOUR = 3_600;
  for (let hour = 0; hour < 30 * 24; hour += 1) {
    if (hour % 72 === 5) await issuer.rotate();
    // An outage of ten minutes now and then: tokens go on.
    if (hour % 30 === 7) {
      issuer.away = true;
      await clock.advance(600);
      await verifier.verify(await issuer.token());
      issuer.away = false;
      await clock.advance(60);
    }
    const [good, dead] = [await issuer.token(), await issuer.token({ jti: `dead-${hour}` })];
    await verifier.verify(good);
    issuer.revoke(`dead-${hour}`);
    await clock.advance(1);
    await assert.rejects(verifier.verify(dead), reason('revoked'), `hour ${hour}`);
    await verifier.verify(good);
    clock.pass(HOUR - 700);
    await clock.advance(31);
  }
  // The list has what can still matter: no more than a day's revocations would be.
  assert.ok(issuer.asked.list > 2_000);
  assert.ok(clock.waiting < 10, `${clock.waiting} timers`);
  assert.equal(verifier.version, 30 * 24 + 1);
  await verifier.close();
});
