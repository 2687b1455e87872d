// The figures, with their bounds.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose';
import { Verifier } from 'sealwright';
import { measureConvergence } from './convergence.js';
import { agent, audience, newClient, newVerifier, operator, read, refuses } from './world.js';

const SAMPLE = 2_000;
const { LIVE_VERIFIERS = '200' } = process.env;

const median = (times) => times.sort((one, other) => one - other)[Math.floor(times.length / 2)];
const microseconds = (milliseconds) => `${(milliseconds * 1_000).toFixed(2)} µs`;

/** The milliseconds that one call takes, as the median of rounds of many calls. */
async function measure(calls, rounds, call) {
  const times = [];
  for (let round = 0; round < rounds; round += 1) {
    const began = performance.now();
    for (let n = 0; n < calls; n += 1) await call(n);
    times.push((performance.now() - began) / calls);
  }
  return median(times);
}

/** An issuer in this process, whose tokens cost no requests, and a verifier of it. */
async function localIssuer() {
  const issuer = 'http://127.0.0.1:9';
  const { privateKey, publicKey } = await generateKeyPair('RS256');
  const keys = [{ ...(await exportJWK(publicKey)), kid: 'k', use: 'sig', alg: 'RS256' }];
  const none = { revoked_tokens: [], revoked_agents: [], revoked_orgs: [], revoked_keys: [] };
  const fetch = async (url) => {
    if (url.includes('oauth-authorization-server')) return Response.json({ issuer });
    if (url.includes('jwks')) return Response.json({ keys });
    if (url.includes('since=0')) return Response.json({ since: null, version: 1, ...none });
    return new Promise(() => {});
  };
  const iat = Math.floor(Date.now() / 1_000);
  const sign = (n) =>
    new SignJWT({ client_id: 'agent', scope: 'db:read files:read', epoch: 7 })
      .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: 'k' })
      .setIssuer(issuer)
      .setSubject('agent')
      .setAudience(audience)
      .setJti(`0199f3a0-0000-7000-8000-${String(n).padStart(12, '0')}`)
      .setIssuedAt(iat)
      .setExpirationTime(iat + 600)
      .sign(privateKey);
  const tokens = [];
  for (let n = 0; n < SAMPLE; n += 1) tokens.push(await sign(n));
  return { issuer, publicKey, tokens, verifier: () => new Verifier({ issuer, audience, fetch }) };
}

/** The median of the milliseconds that each token takes. */
async function timeEach(tokens, verify) {
  const times = [];
  for (const token of tokens) {
    const began = performance.now();
    await verify(token);
    times.push(performance.now() - began);
  }
  return median(times);
}

/** How long it takes from the start of `agent suspend` until every verifier refuses. */
async function suspendAndWatch(limit, options) {
  const count = Number(LIVE_VERIFIERS);
  const token = await newClient().token(read);
  const verifiers = Array.from({ length: count }, () => newVerifier({ onError: () => {}, ...options }));
  for (const verifier of verifiers) await verifier.verify(token);
  // All of them begin to wait.
  await sleep(2_000);
  const began = performance.now();
  const suspended = operator('agent', 'suspend', agent);
  const times = await Promise.all(
    verifiers.map(async (verifier) => {
      while (!(await refuses(verifier, token))) {
        assert.ok(performance.now() - began < 2_000 * limit, 'still accepted');
        await sleep(5);
      }
      return (performance.now() - began) / 1_000;
    }),
  );
  await suspended;
  await operator('agent', 'reactivate', agent);
  await Promise.all(verifiers.map((verifier) => verifier.close()));
  const last = Math.max(...times);
  const text = `${count} verifiers: the median after ${median(times).toFixed(2)} s, the last after ${last.toFixed(2)} s (at most ${limit} s)`;
  assert.ok(last <= limit, text);
  return text;
}

export const figures = {
  async 'warm-token'() {
    const client = newClient();
    await client.token(read);
    const took = await measure(20_000, 11, () => client.token(read));
    const text = `${microseconds(took)} (at most 5 µs)`;
    assert.ok(took <= 0.005, text);
    return text;
  },

  async verification() {
    const { issuer, publicKey, tokens, verifier } = await localIssuer();
    const options = { algorithms: ['RS256'], typ: 'at+jwt', issuer, audience };
    const [ours, theirs] = [[], []];
    // In turns, so that what else the machine does falls on both.
    for (let round = 0; round < 5; round += 1) {
      const fresh = verifier();
      await fresh.verify(tokens[0]);
      theirs.push(await timeEach(tokens.slice(1), (token) => jwtVerify(token, publicKey, options)));
      ours.push(await timeEach(tokens.slice(1), (token) => fresh.verify(token)));
      await fresh.close();
    }
    const [took, alone] = [median(ours), median(theirs)];
    const text = `${microseconds(took)}, jose alone ${microseconds(alone)}: ${(took / alone).toFixed(2)} times (at most 1.5)`;
    assert.ok(took <= 1.5 * alone, text);
    return text;
  },

  async 'seen-token'() {
    const { tokens, verifier } = await localIssuer();
    const seen = verifier();
    for (const token of tokens) await seen.verify(token);
    const took = await measure(tokens.length, 11, (n) => seen.verify(tokens[n]));
    await seen.close();
    const text = `${microseconds(took)} (at most 20 µs)`;
    assert.ok(took <= 0.02, text);
    return text;
  },

  'verifiers-long-poll': () => suspendAndWatch(2, {}),
  'verifiers-polling': () => suspendAndWatch(16, { longPoll: false }),
  convergence: () => measureConvergence(Number(LIVE_VERIFIERS)),
};
