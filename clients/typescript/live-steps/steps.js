// The steps, in the order of the table. Each says what was seen, or throws.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { AgentSuspended, InvalidClient, QuotaReached, ScopeDenied, Unavailable } from 'sealwright';
import { getRows, statusOf } from './recipes.js';
import {
  agent,
  audience,
  claims,
  failure,
  feedLimit,
  header,
  issued,
  newClient,
  newVerifier,
  nowhere,
  operator,
  read,
  refuses,
  runAgent,
  secondUrl,
  secret,
  startHono,
  startMcp,
  startRefusing,
  startService,
  until,
  url,
} from './world.js';

const client = newClient();
const verifier = newVerifier();
// What later steps need of earlier ones.
let chainToken;
let replicaToken;
let service;

export const steps = {
  async chain() {
    chainToken = await client.token(read);
    const before = await issued();
    assert.equal(await client.token(read), chainToken);
    assert.equal(await issued(), before);
    return 'a token by the environment, the same again without a request';
  },

  async 'one-request'() {
    const asking = newClient();
    const keys = ['db:read', 'db:write'].flatMap((scope) =>
      ['https://one.example', 'https://two.example'].map((audience) => ({ scope, audience })),
    );
    const before = await issued();
    const tokens = await Promise.all(Array.from({ length: 1_000 }, (_, n) => asking.token(keys[n % 4])));
    assert.equal(new Set(tokens).size, 4);
    assert.equal((await issued()) - before, 4);
    return '1,000 callers of four keys, four tokens issued';
  },

  async verify() {
    const said = claims(chainToken);
    const { clientId, scopes, jti } = await verifier.verify(chainToken);
    assert.deepEqual([clientId, scopes.join(' '), jti], [agent, 'db:read', said.jti]);
    assert.ok(await refuses(verifier, `${chainToken.slice(0, -8)}AAAAAAAA`));
    assert.ok(
      await refuses(verifier, await client.token({ scope: 'db:read', audience: 'https://one.example' })),
    );
    assert.equal(await statusOf(chainToken), 200);
    assert.equal(await statusOf('garbage'), 401);
    return 'accepted, with client_id, scope and jti; a changed signature and another audience refused';
  },

  async replica() {
    replicaToken = await newClient({ baseUrl: secondUrl }).token(read);
    await verifier.verify(replicaToken);
    return 'a token of the other replica accepted';
  },

  async door() {
    service = await startService();
    assert.equal((await service.get('/read', chainToken)).status, 200);
    assert.equal(await getRows(`${service.base}/read`), `rows for ${agent}\n`);
    const lacking = await service.get('/write', chainToken);
    assert.equal(lacking.status, 403);
    assert.match(lacking.headers.get('www-authenticate'), /insufficient_scope.*db:write/);
    const without = await service.get('/read');
    assert.equal(without.status, 401);
    assert.match(without.headers.get('www-authenticate'), /^Bearer(?!.*error)/);
    const garbage = await service.get('/read', 'garbage');
    assert.equal(garbage.status, 401);
    assert.match(garbage.headers.get('www-authenticate'), /^Bearer.*invalid_token/);
    return '200, 403 with insufficient_scope and db:write, 401 without an error, 401 with invalid_token';
  },

  async agent() {
    const line = await runAgent({ SCOPES: 'db:read,db:write', CALLERS: '50' });
    assert.equal(line, 'tokens=100 distinct=2');
    return line;
  },

  async readme() {
    // Its code is that of the recipes, which the steps use, and of the examples.
    const files = [
      'live-steps/recipes.js',
      ...['service', 'hono', 'mcp'].map((name) => `examples/${name}/index.js`),
    ];
    const code = files.map((file) => readFileSync(file, 'utf8')).join('\n');
    const page = readFileSync('node_modules/sealwright/README.md', 'utf8');
    const blocks = [...page.matchAll(/```js\n(.*?)\n```/gs)];
    assert.ok(blocks.length >= 5);
    for (const [, block] of blocks) assert.ok(code.includes(block.trimEnd()), block);
    const hono = await startHono();
    assert.equal((await hono.get('/read', chainToken)).status, 200);
    assert.equal((await hono.get('/read', 'garbage')).status, 401);
    hono.stop();
    const { mcp, statusOf: statusAt } = await startMcp();
    assert.equal(await statusAt(await client.token({ scope: 'db:read', audience: mcp.resource })), 200);
    assert.equal(await statusAt(chainToken), 401);
    mcp.stop();
    return `its ${blocks.length} blocks run on Node ${process.versions.node}: an agent, services with Express and Hono, and an MCP server`;
  },

  async 'revoke-one'() {
    const [limit, how] = await feedLimit();
    await operator('token', 'revoke', '--jti', claims(chainToken).jti);
    const seconds = await until(limit, () => refuses(verifier, chainToken));
    await verifier.verify(replicaToken);
    return `refused after ${seconds.toFixed(2)} s ${how}; the other token is accepted`;
  },

  async 'renew-once'() {
    const [limit] = await feedLimit();
    await until(limit, async () => (await service.get('/read', chainToken)).status === 401);
    const before = await issued();
    const answer = await client.fetch(read)(`${service.base}/read`);
    assert.equal(answer.status, 200);
    assert.equal((await issued()) - before, 1);
    const api = await startRefusing();
    assert.equal((await newClient().fetch(read)(api.url)).status, 401);
    assert.equal(api.calls, 2);
    api.stop();
    return '200 after one 401 and one new token; an API that always refuses saw two calls';
  },

  async suspend() {
    const [limit, how] = await feedLimit();
    await operator('agent', 'suspend', agent);
    const seconds = await until(limit, () => refuses(verifier, replicaToken));
    await until(limit, async () => (await service.get('/read', replicaToken)).status === 401);
    assert.ok((await failure(newClient().token(read))) instanceof AgentSuspended);
    return `refused after ${seconds.toFixed(2)} s ${how}, and by the service; AgentSuspended`;
  },

  async reactivate() {
    await operator('agent', 'reactivate', agent);
    const token = await newClient().token(read);
    await verifier.verify(token);
    assert.ok(await refuses(verifier, replicaToken));
    return 'a new token accepted, the old one refused';
  },

  async 'suspend-org'() {
    const [limit, how] = await feedLimit();
    const org = `org-${crypto.randomUUID().slice(0, 8)}`;
    await operator('org', 'create', '--id', org, '--name', org);
    const rights = ['--name', 'member', '--plan', 'unlimited', '--scope', 'db:read'];
    const made = JSON.parse(await operator('agent', 'create', '--json', '--org', org, ...rights));
    const member = () => newClient({ clientId: made.agentId, clientSecret: made.clientSecret });
    const token = await member().token(read);
    await verifier.verify(token);
    await operator('org', 'suspend', org);
    const seconds = await until(limit, () => refuses(verifier, token));
    assert.ok((await failure(member().token(read))) instanceof AgentSuspended);
    await verifier.verify(await newClient().token(read));
    return `refused after ${seconds.toFixed(2)} s ${how}; AgentSuspended; another organization's token is still accepted`;
  },

  async 'rotated-key'() {
    const before = header(await newClient().token(read)).kid;
    await operator('key', 'rotate', '--now');
    let token;
    await until(5, async () => {
      token = await newClient().token(read);
      return header(token).kid !== before;
    });
    const seconds = await until(2, () =>
      verifier.verify(token).then(
        () => true,
        () => false,
      ),
    );
    return `a token of another kid accepted after ${seconds.toFixed(2)} s`;
  },

  async 'wrong-secret'() {
    const error = await failure(newClient({ clientSecret: `${secret.slice(0, -4)}AAAA` }).token(read));
    assert.ok(error instanceof InvalidClient, String(error));
    return 'InvalidClient';
  },

  async 'scope-denied'() {
    const error = await failure(newClient().token({ scope: 'files:read', audience }));
    assert.ok(error instanceof ScopeDenied, String(error));
    return 'ScopeDenied';
  },

  async quota() {
    let requests = 0;
    const { QUOTA_CLIENT_ID: clientId, QUOTA_CLIENT_SECRET: clientSecret } = process.env;
    const counted = (input, init) => {
      requests += 1;
      return fetch(input, init);
    };
    const limited = newClient({ clientId, clientSecret, fetch: counted });
    const ask = (audience) => limited.token({ scope: 'db:read', audience });
    await ask('https://one.example');
    await ask('https://two.example');
    const error = await failure(ask('https://three.example'));
    assert.ok(error instanceof QuotaReached, String(error));
    const now = new Date();
    const reset = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1);
    assert.ok(Math.abs(error.resetsAt.getTime() - reset) <= 5_000, String(error.resetsAt));
    assert.ok((await failure(ask('https://four.example'))) instanceof QuotaReached);
    assert.equal(requests, 3);
    return `two tokens, then QuotaReached until ${error.resetsAt.toISOString()}, and no fourth request`;
  },

  async outage() {
    assert.ok((await failure(newClient({ baseUrl: nowhere }).token(read))) instanceof Unavailable);
    const cut = newVerifier({ issuer: nowhere });
    const token = await newClient().token(read);
    assert.ok((await failure(cut.verify(token))) instanceof Unavailable);
    await cut.close();
    const away = await startService({ SEALWRIGHT_URL: nowhere });
    const answer = await away.get('/read', token);
    assert.equal(answer.status, 503);
    assert.ok(Number(answer.headers.get('retry-after')) >= 1);
    away.stop();
    return 'Unavailable, Unavailable, 503 with Retry-After';
  },

  async 'shows-nothing'() {
    const shown = newClient();
    const token = await shown.token(read);
    await verifier.verify(token);
    for (const object of [shown, shown.fetch(read), verifier]) {
      const forms = [
        inspect(object, { depth: 20, showHidden: true }),
        inspect(object, { depth: 20, showHidden: true, customInspect: false }),
        JSON.stringify(object) ?? '',
        String(object),
        JSON.stringify(Object.getOwnPropertyDescriptors(object)),
      ];
      const found = forms.some((text) => text.includes(secret) || text.includes(token.split('.')[2]));
      assert.ok(!found, 'a secret or a token is shown');
    }
    service.stop();
    return 'console.log, inspect with hidden members, JSON, String and property descriptors show neither';
  },
};

console.error(`the steps run against ${url} and ${secondUrl}`);
