// The feed over sockets: a server that holds polls, and what stands between it and a verifier.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { InvalidToken, Verifier, type VerifierOptions } from '../src/index.js';
import { FakeClock, settle } from './fakes.js';
import { AUDIENCE, ISSUER, Issuer } from './issuer.js';

type Between = (request: IncomingMessage, response: ServerResponse, pass: () => void) => void;

/** The issuer behind a socket. `between` sees each request of the list first. */
async function serve(issuer: Issuer, between: Between = (_request, _response, pass) => pass()) {
  const server = createServer((request, response) => {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const pass = async () => {
      const answer = await issuer
        .fetch(`${ISSUER}${request.url}`, { signal: gone.signal })
        .catch(() => new Response('', { status: 502 }));
      const body = Buffer.from(await answer.arrayBuffer());
      const zips = /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
      if (zips) response.setHeader('content-encoding', 'gzip');
      response.writeHead(answer.status);
      response.end(zips ? gzipSync(body) : body);
    };
    if (request.url?.includes('revoked')) between(request, response, pass);
    else void pass();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { baseUrl, close };
}

async function scene(between?: Between, options: Partial<VerifierOptions> = {}) {
  const issuer = await Issuer.make(options.clock);
  const { baseUrl, close } = await serve(issuer, between);
  const verifier = new Verifier({ issuer: ISSUER, baseUrl, audience: AUDIENCE, ...options });
  await verifier.start();
  const end = async () => {
    await verifier.close();
    close();
  };
  return { issuer, verifier, end };
}

async function refusedWithin(seconds: number, verifier: Verifier, token: string): Promise<void> {
  const end = performance.now() + seconds * 1_000;
  for (;;) {
    const error = await verifier.verify(token).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (error instanceof InvalidToken && error.reason === 'revoked') return;
    assert.equal(error, undefined);
    assert.ok(performance.now() < end, 'still accepted');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('a revocation is known while a poll is held, compressed too', async () => {
  const polls: string[] = [];
  const { issuer, verifier, end } = await scene((request, _response, pass) => {
    polls.push(request.url ?? '');
    pass();
  });
  for (let round = 0; round < 5; round += 1) {
    const token = await issuer.token({ jti: `dead-${round}` });
    await verifier.verify(token);
    issuer.revoke(`dead-${round}`);
    await refusedWithin(10, verifier, token);
  }
  assert.ok(polls.length <= 8, `${polls.length} polls`);
  await end();
});

test('a connection that is cut off brings no verdict, and the next poll brings the news', async () => {
  let cuts = 0;
  const { issuer, verifier, end } = await scene((request, response, pass) => {
    if (request.url?.includes('wait=') && cuts < 2) {
      cuts += 1;
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{"since":1,"version":2,"revoked_tokens":[');
      setTimeout(() => response.destroy(), 20);
    } else pass();
  });
  const token = await issuer.token({ jti: 'dead' });
  await verifier.verify(token);
  issuer.revoke('dead');
  await refusedWithin(20, verifier, token);
  assert.equal(cuts, 2);
  await end();
});

test('a redirect of the list is not followed', async () => {
  let elsewhere = 0;
  const errors: unknown[] = [];
  const { verifier, end } = await scene(
    (request, response) => {
      if (request.url?.startsWith('/elsewhere')) elsewhere += 1;
      response.writeHead(302, { location: '/elsewhere/revoked' }).end();
    },
    { onError: (error) => errors.push(error) },
  );
  assert.equal(verifier.version, undefined);
  assert.equal(elsewhere, 0);
  assert.match(String(errors[0]), /302/);
  await end();
});

test('where something on the way cuts every held poll, it is heard by polls that are not held', async () => {
  const clock = new FakeClock(1_800_000_000);
  const issuer = await Issuer.make(clock);
  const asked: string[] = [];
  const fetch = async (url: string, init?: RequestInit) => {
    if (!url.includes('revoked')) return issuer.fetch(url, init);
    asked.push(url.includes('wait=') ? 'held' : 'not held');
    if (!url.includes('wait=')) return issuer.fetch(url, init);
    await clock.sleep(10_000);
    return new Response('Gateway Timeout', { status: 504 });
  };
  const verifier = new Verifier({ issuer: ISSUER, audience: AUDIENCE, clock, fetch });
  await verifier.start();
  for (let second = 0; second < 250; second += 5) {
    await clock.advance(5);
    await settle();
    assert.ok(verifier.silence < 30, `silent for ${verifier.silence} s`);
    await verifier.verify(await issuer.token({ risk: 'high' }));
  }
  assert.equal(asked.filter((poll) => poll === 'held').length, 3);
  await clock.advance(200);
  assert.ok(asked.filter((poll) => poll === 'held').length > 3);
  await verifier.close();
});
