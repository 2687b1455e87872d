// How a Node program gets its tokens: the recipe's `tokens.js`.

// recipe: tokens
// Keeps a token, renews it 60 s before it expires, and forgets it when a service says that it is dead.
export class Tokens {
  #token;
  #renewAt = 0;
  #asking;

  constructor({ issuer, clientId, clientSecret, scope, audience }) {
    this.endpoint = `${issuer}/api/v1/token`;
    const client = { client_id: clientId, client_secret: clientSecret };
    this.form = { grant_type: 'client_credentials', ...client, scope, audience };
  }

  async get() {
    if (this.#token && performance.now() < this.#renewAt) return this.#token;
    // One asks, the others wait for its answer.
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  async #ask() {
    const asked = performance.now();
    const body = new URLSearchParams(this.form);
    const answer = await fetch(this.endpoint, { method: 'POST', body, signal: AbortSignal.timeout(10_000) });
    if (!answer.ok) throw new Error(`no token: ${answer.status} ${await answer.text()}`);
    const { access_token, expires_in } = await answer.json();
    this.#token = access_token;
    this.#renewAt = asked + (expires_in - 60) * 1000;
    return access_token;
  }

  drop(token) {
    // Another call may have brought a new one by now.
    if (this.#token === token) this.#token = undefined;
  }

  // Like fetch, with a token. On a 401 the token is dropped and a new one tried, once.
  async fetch(url, options = {}) {
    const token = await this.get();
    const answer = await fetch(url, bearing(token, options));
    if (answer.status !== 401) return answer;
    this.drop(token);
    return fetch(url, bearing(await this.get(), options));
  }
}

function bearing(token, options) {
  const headers = new Headers(options.headers);
  headers.set('authorization', `Bearer ${token}`);
  return { ...options, headers };
}
// end of recipe
