import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { InvalidToken, Unavailable, Verifier, type VerifierOptions, type Version } from '../src/index.js';
import { type FakeAnswer, FakeClock, response, settle, unreachable } from './fakes.js';
import { vectors } from './vectors.js';

interface Step {
  readonly answer?: FakeAnswer | 'unreachable' | 'timeout';
  readonly held?: FakeAnswer | 'unreachable';
  readonly took?: number;
  readonly asked?: Readonly<Record<string, string | null>>;
  readonly waited?: readonly [number, number];
  readonly advance?: number;
  readonly step?: number;
  readonly restart?: true;
  readonly damage?: string;
  readonly expect?: Readonly<Record<string, string>>;
  readonly version?: Version | null;
}

interface Case {
  readonly name: string;
  readonly cache: boolean;
  readonly verifier: { readonly stale_after?: [number, number]; readonly when_stale?: 'accept' };
  readonly steps: readonly Step[];
}

interface File {
  readonly now: number;
  readonly issuer: string;
  readonly audience: string;
  readonly jwks: unknown;
  readonly tokens: Readonly<Record<string, string>>;
  readonly cases: readonly Case[];
}

const file = vectors<File>('feed.json');
const KNOWN = 'answer held took asked waited advance step restart damage expect version'.split(' ');
/** Requests that no case is about take no time, so that they must not end in time either. */
const NEVER_SECONDS = 10_000_000;
let ran = 0;

/** A poll that waits for its answer. */
interface Poll {
  readonly url: URL;
  readonly at: number;
  answer(answer: Response | Error): void;
}

/** A verifier whose polls wait for the test. */
class Scene {
  readonly clock = new FakeClock(file.now);
  readonly #options: Partial<VerifierOptions>;
  #poll: Poll | undefined;
  #answeredAt: number | undefined;
  verifier: Verifier;

  constructor(options: Partial<VerifierOptions>) {
    this.#options = options;
    this.verifier = this.#make();
  }

  #make(): Verifier {
    const { issuer, audience } = file;
    const fetch = (url: string, init?: RequestInit) => this.#fetch(url, init);
    const timeout = NEVER_SECONDS * 1_000;
    const own = { issuer, audience, clock: this.clock, fetch, timeout, startTimeout: 0 };
    const verifier = new Verifier({ ...own, ...this.#options });
    void verifier.start();
    return verifier;
  }

  async #fetch(url: string, init?: RequestInit): Promise<Response> {
    if (url.includes('oauth-authorization-server'))
      return response({ status: 200, body: { issuer: file.issuer } });
    if (url.includes('jwks.json')) return response({ status: 200, body: file.jwks });
    return new Promise((resolve, reject) => {
      assert.equal(this.#poll, undefined, 'two polls at once');
      const answer = (answer: Response | Error) => {
        this.#poll = undefined;
        if (answer instanceof Error) reject(answer);
        else resolve(answer);
      };
      this.#poll = { url: new URL(url), at: this.clock.monotonic(), answer };
      init?.signal?.addEventListener('abort', () => answer(new Error('aborted')));
    });
  }

  /** The next poll. If it is after a pause, time goes on to the end of the pause. */
  async #next(): Promise<Poll> {
    for (const patience = Date.now() + 20_000; Date.now() < patience; ) {
      await settle();
      if (this.#poll) return this.#poll;
      // Without a pause, it is the file or the keys that are waited for, and they have clocks of their own.
      if (this.clock.nextIn < NEVER_SECONDS / 2) await this.clock.advanceToNext();
      else await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return assert.fail('no poll');
  }

  async answer({ answer: usual, held, took = 0, asked = {}, waited }: Step): Promise<void> {
    const poll = await this.#next();
    const answer = held !== undefined && poll.url.searchParams.has('wait') ? held : usual;
    for (const [name, value] of Object.entries(asked))
      assert.equal(poll.url.searchParams.get(name), value, name);
    if (waited) {
      const seconds = (poll.at - (this.#answeredAt ?? poll.at)) / 1_000;
      assert.ok(seconds >= waited[0] - 0.001 && seconds <= waited[1] + 0.001, `waited ${seconds} s`);
    }
    await this.clock.advance(took);
    if (answer !== 'timeout')
      poll.answer(answer === 'unreachable' ? unreachable() : response(answer as FakeAnswer));
    this.#answeredAt = this.clock.monotonic();
    await settle();
  }

  async restart(): Promise<void> {
    await this.verifier.close();
    await settle();
    this.verifier = this.#make();
    await this.verifier.start();
  }

  async expect({ expect = {}, version }: Step): Promise<void> {
    for (const [name, verdict] of Object.entries(expect)) {
      const judged = this.verifier.verify(file.tokens[name] as string).then(
        () => 'accept',
        (error: unknown) =>
          error instanceof InvalidToken
            ? error.reason
            : error instanceof Unavailable
              ? 'unavailable'
              : String(error),
      );
      assert.equal(await judged, verdict, name);
    }
    assert.equal(this.verifier.version ?? null, version);
  }
}

for (const { name, cache, verifier, steps } of file.cases) {
  test(`the feed: ${name}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sealwright-'));
    const cacheFile = cache ? join(folder, 'revoked.json') : undefined;
    const scene = new Scene({ cacheFile, staleAfter: verifier.stale_after, whenStale: verifier.when_stale });
    for (const step of steps) {
      for (const member of Object.keys(step)) assert.ok(KNOWN.includes(member), member);
      if (step.answer !== undefined) await scene.answer(step);
      if (step.advance !== undefined) scene.clock.pass(step.advance);
      if (step.step !== undefined) scene.clock.step(step.step);
      if (step.damage === 'truncated') {
        await scene.verifier.close();
        const text = await readFile(cacheFile as string, 'utf8');
        await writeFile(cacheFile as string, text.slice(0, text.length / 2));
      } else assert.equal(step.damage, undefined);
      if (step.restart) await scene.restart();
      if (step.expect) await scene.expect(step);
    }
    await scene.verifier.close();
    await rm(folder, { recursive: true });
    ran += 1;
  });
}

test('every case of feed.json was run', () => {
  assert.ok(file.cases.length > 0);
  assert.equal(ran, file.cases.length);
});
