// A `fetch` that carries a client's tokens.

import type { Client, TokenRequest } from './client.js';
import type { Fetch } from './http.js';

/** A function like `fetch`. */
export type Call = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/**
 * Sends each request with a token. After a 401 `invalid_token` it sends it once more with another token, if there is
 * another and the body can be sent again.
 */
export function authorizedFetch(client: Client, request: TokenRequest, fetch: Fetch): Call {
  const sendRequest = fetch as unknown as (request: Request) => Promise<Response>;
  return async (input, init) => {
    const call = new Request(input, init);
    const options = { ...request, signal: call.signal };
    const token = await client.token(options);
    // A stream can be read once. Anything else that a request is made of is copied.
    const again = init?.body instanceof ReadableStream ? undefined : call.clone();
    const response = await sendRequest(withToken(call, token));
    // A redirection to another host went without the token, so nothing is said of it.
    if (!again || !rejects(response) || ledElsewhere(again, response)) return response;
    const other = await client.renewed(token, options);
    if (other === undefined) return response;
    await response.body?.cancel();
    return sendRequest(withToken(again, other));
  };
}

function withToken(request: Request, token: string): Request {
  request.headers.set('authorization', `Bearer ${token}`);
  return request;
}

function ledElsewhere(sent: Request, { url }: Response): boolean {
  return url !== '' && new URL(url).origin !== new URL(sent.url).origin;
}

/** Whether an API says that the token is dead (RFC 6750 §3.1). Any other 401 is about something else. */
function rejects(response: Response): boolean {
  const challenge = response.headers.get('www-authenticate') ?? '';
  return (
    response.status === 401 && /\bBearer\b/i.test(challenge) && /\berror="?invalid_token"?/.test(challenge)
  );
}
