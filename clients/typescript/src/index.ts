// Tokens for agents, and their verification in services.

export { Client, type ClientOptions, type TokenOptions, type TokenRequest } from './client.js';
export type { Clock } from './clock.js';
export { type Decision, type Demand, decide, type Refusal } from './door.js';
export {
  AgentSuspended,
  InsufficientScope,
  InvalidClient,
  InvalidRequest,
  InvalidToken,
  NoCredentials,
  QuotaReached,
  RateLimited,
  type Reason,
  ScopeDenied,
  SealwrightError,
  Unavailable,
} from './errors.js';
export type { Call } from './fetch.js';
export type { Fetch } from './http.js';
export type { Version } from './revocations.js';
export type { Claims } from './token.js';
export { Verifier, type VerifierOptions } from './verifier.js';
