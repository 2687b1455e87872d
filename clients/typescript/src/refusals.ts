// The answers of the token endpoints that hold no token, in every dialect of the server, as errors.

import {
  AgentSuspended,
  InvalidClient,
  InvalidRequest,
  QuotaReached,
  RateLimited,
  ScopeDenied,
  type SealwrightError,
  type Told,
  Unavailable,
} from './errors.js';
import { type Answer, jsonObject, retryAfter } from './http.js';

type Kind = 'client' | 'agent' | 'quota' | 'scope' | 'request';

/** The codes that mean one thing: those of RFC 6749 and RFC 8707 in `error`, and those of `/oauth/token` in `error.code`. */
const KINDS: ReadonlyMap<string, Kind> = new Map([
  ['invalid_client', 'client'],
  ['invalid_scope', 'scope'],
  ['invalid_target', 'request'],
  ['invalid_request', 'request'],
  ['unsupported_grant_type', 'request'],
  ['AUTH_INVALID_CREDENTIALS', 'client'],
  ['AUTH_AGENT_REVOKED', 'client'],
  ['AUTH_AGENT_SUSPENDED', 'agent'],
  ['POLICY_SCOPE_DENIED', 'scope'],
  ['QUOTA_EXCEEDED', 'quota'],
  ['VALIDATION_ERROR', 'request'],
]);

/** The sentences by which dialects with one code for several refusals tell them apart. */
const SENTENCES: readonly (readonly [RegExp, Kind])[] = [
  [/^Agent is currently suspended/, 'agent'],
  [/^Agent is decommissioned/, 'client'],
  [/token limit of .* has been reached/, 'quota'],
  [/scope/, 'scope'],
];

/** The most characters of an answer's text that an error tells. */
const MAX_TOLD = 200;

/**
 * What an answer of the token endpoint without a token means. One that is not the server's own is no verdict.
 * `proof` is what the client has sent, which no error shows if the answer repeats it.
 */
export function refusal(answer: Answer, now: number, proof: string): SealwrightError {
  const { code, message } = words(answer.text, proof);
  const requestId = requestIdOf(answer.headers, proof);
  const told: Told = { code, status: answer.status, requestId };
  const wait = retryAfter(answer.headers, now);
  if (answer.status === 429) {
    return new RateLimited(message ?? 'the server asks to slow down', wait, told);
  }
  const says = message ?? code ?? 'the server refused the request';
  switch (kindOf(answer.status, code, message)) {
    case 'client':
      return new InvalidClient(says, told);
    case 'agent':
      return new AgentSuspended(says, told);
    case 'quota':
      return new QuotaReached(says, resetsAt(answer.headers, now), told);
    case 'scope':
      return new ScopeDenied(says, told);
    case 'request':
      return new InvalidRequest(says, told);
    case undefined:
      return new Unavailable(`the token endpoint answered ${answer.status}, which is no verdict`, wait, told);
  }
}

function kindOf(status: number, code: string | undefined, message: string | undefined): Kind | undefined {
  if (![400, 401, 403, 405, 413, 415].includes(status)) return undefined;
  const known = code === undefined ? undefined : KINDS.get(code);
  if (known) return known;
  // `unauthorized_client` of `/api/v1/token` and the problems (RFC 9457) of `/api/oauth2`.
  if (code === 'unauthorized_client' || code === 'Forbidden') {
    return SENTENCES.find(([sentence]) => sentence.test(message ?? ''))?.[1];
  }
  if (code === 'Unauthorized') return 'client';
  return status === 400 ? 'request' : undefined;
}

/** The code and the sentence of a body: RFC 6749's, those of the object that `/oauth/token` sends, or a problem's. */
function words(body: string, proof: string) {
  const text = (value: unknown) => (typeof value === 'string' && value ? tellable(value, proof) : undefined);
  const told = jsonObject(body) ?? {};
  const error = told['error'];
  const nested = typeof error === 'object' && error !== null ? (error as Record<string, unknown>) : {};
  const problem = text(told['traceId']) && text(told['title']);
  return {
    code: text(error) ?? text(nested['code']) ?? problem,
    message: text(told['error_description']) ?? text(nested['message']) ?? text(told['detail']),
  };
}

/** A text of an answer as an error may tell it: without the proof that the client has sent, in one line, and not long. */
function tellable(text: string, proof: string): string {
  const inForm = new URLSearchParams({ '': proof }).toString().slice(1);
  const shown = proof
    ? [proof, inForm, encodeURIComponent(proof)].reduce((said, form) => said.replaceAll(form, '…'), text)
    : text;
  return Array.from(shown)
    .slice(0, MAX_TOLD)
    .join('')
    .replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ');
}

/** The `X-Request-ID`, if the server could have sent it. */
function requestIdOf(headers: Headers, proof: string): string | undefined {
  const id = headers.get('x-request-id') ?? '';
  return /^[A-Za-z0-9._-]{1,64}$/.test(id) && !(proof && id.includes(proof)) ? id : undefined;
}

/** The `t` of the `RateLimit` that has nothing left (draft-ietf-httpapi-ratelimit-headers). */
function resetsAt(headers: Headers, now: number): Date | undefined {
  for (const policy of headers.get('ratelimit')?.split(',') ?? []) {
    const parameters = policy.split(';').map((part) => part.trim());
    const seconds = parameters.map((part) => /^t=(\d{1,9})$/.exec(part)?.[1]).find((found) => found);
    if (parameters.includes('r=0') && seconds) return new Date(now + Number(seconds) * 1_000);
  }
  return undefined;
}
