/** What every error of this library is. None of them holds a token or a secret. */
export class SealwrightError extends Error {
  override readonly name: string = 'SealwrightError';
  /** The server's own code for it (`error` or `error.code`), where it sent one. */
  readonly code: string | undefined;
  /** The status of the server's answer, where there was one. */
  readonly status: number | undefined;
  /** The `X-Request-ID` of the server's answer, by which its operator finds the request. */
  readonly requestId: string | undefined;

  constructor(message: string, told: Told = {}) {
    super(message, told.cause === undefined ? undefined : { cause: told.cause });
    this.code = told.code;
    this.status = told.status;
    this.requestId = told.requestId;
  }
}

/** What is known of an error beside its sentence. */
export interface Told {
  readonly code?: string | undefined;
  readonly status?: number | undefined;
  readonly requestId?: string | undefined;
  readonly cause?: unknown;
}

// Errors of the token source.

/** No credentials were given, and the environment has none. */
export class NoCredentials extends SealwrightError {
  override readonly name = 'NoCredentials';
}

/** The server does not know the client, its secret is wrong, or the agent was decommissioned. */
export class InvalidClient extends SealwrightError {
  override readonly name = 'InvalidClient';
}

/** The agent is suspended or has expired: its secret is right, and it gets no token. */
export class AgentSuspended extends SealwrightError {
  override readonly name = 'AgentSuspended';
}

/** The agent's tokens of this month are used up. The client does not ask again before {@link resetsAt}. */
export class QuotaReached extends SealwrightError {
  override readonly name = 'QuotaReached';
  /** When the quota begins anew, where the server said it. */
  readonly resetsAt: Date | undefined;

  constructor(message: string, resetsAt?: Date, told: Told = {}) {
    super(message, told);
    this.resetsAt = resetsAt;
  }
}

/** The agent may not have a scope that was asked for. */
export class ScopeDenied extends SealwrightError {
  override readonly name = 'ScopeDenied';
}

/** The agent asks for tokens too often. */
export class RateLimited extends SealwrightError {
  override readonly name = 'RateLimited';
  /** After how many seconds it may ask again, where the server said it. */
  readonly retryAfter: number | undefined;

  constructor(message: string, retryAfter?: number, told: Told = {}) {
    super(message, told);
    this.retryAfter = retryAfter;
  }
}

/** The request is wrong, or names an audience that the agent may not have: its sender must correct it. */
export class InvalidRequest extends SealwrightError {
  override readonly name = 'InvalidRequest';
}

/** Nobody knows: the server, its keys or its revocation list cannot be had. This is no verdict, and never a 401. */
export class Unavailable extends SealwrightError {
  override readonly name = 'Unavailable';
  /** After how many seconds to try again, where the server said it. */
  readonly retryAfter: number | undefined;

  constructor(message: string, retryAfter?: number, told: Told = {}) {
    super(message, told);
    this.retryAfter = retryAfter;
  }
}

// Errors of the verifier.

/** Why a token is worth nothing, in the order in which it is checked. */
export type Reason =
  | 'malformed'
  | 'algorithm'
  | 'type'
  | 'critical'
  | 'key'
  | 'signature'
  | 'claims'
  | 'issuer'
  | 'audience'
  | 'expired'
  | 'not_yet_valid'
  | 'revoked';

/** The token is worth nothing, whoever asks. */
export class InvalidToken extends SealwrightError {
  override readonly name = 'InvalidToken';
  readonly reason: Reason;

  constructor(reason: Reason, message: string) {
    super(message, { code: 'invalid_token' });
    this.reason = reason;
  }
}

/** The token is good, and does not carry the scope that the call needs. */
export class InsufficientScope extends SealwrightError {
  override readonly name = 'InsufficientScope';
  /** What the token lacks, separated by spaces. */
  readonly scope: string;

  constructor(scope: string) {
    super(`the token lacks ${scope}`, { code: 'insufficient_scope' });
    this.scope = scope;
  }
}
