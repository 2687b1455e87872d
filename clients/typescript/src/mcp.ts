/**
 * For MCP servers: the metadata by which clients learn whom to ask for a token (RFC 9728), and a door that points there.
 *
 * @module
 */

import {
  type IncomingRequest,
  type Middleware,
  type Next,
  type OutgoingResponse,
  protectWith,
} from './express.js';
import type { Claims } from './token.js';
import type { Verifier } from './verifier.js';

/** What an MCP server is. */
export interface Resource {
  /** Its URL as clients know it. It is the audience of its tokens. */
  readonly resource: string;
  /** Who issues them. */
  readonly issuer: string;
  /** The scopes that clients need. They ask for these. */
  readonly scopes?: readonly string[] | undefined;
  /** A name for people. */
  readonly name?: string | undefined;
}

/** What the SDK's transport finds at `request.auth`. */
export interface AuthInfo {
  readonly token: string;
  readonly clientId: string;
  readonly scopes: string[];
  readonly expiresAt: number;
  readonly resource: URL;
  readonly extra: { readonly claims: Claims };
}

const WELL_KNOWN = '/.well-known/oauth-protected-resource';

/** Where the metadata of a resource is (RFC 9728 §3.1): between its host and its path. */
export function metadataUrl(resource: string): string {
  const { origin, pathname, search } = new URL(resource);
  return `${origin}${WELL_KNOWN}${pathname === '/' ? '' : pathname}${search}`;
}

/** The metadata of a resource (RFC 9728 §2). */
export function metadata({ resource, issuer, scopes, name }: Resource): Record<string, unknown> {
  return {
    resource,
    authorization_servers: [issuer],
    bearer_methods_supported: ['header'],
    ...(scopes ? { scopes_supported: [...scopes] } : {}),
    ...(name === undefined ? {} : { resource_name: name }),
  };
}

interface MetadataRequest extends IncomingRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly originalUrl?: string | undefined;
}

/** Answers `GET` of the metadata, to scripts of any origin, and lets everything else pass. For `app.use()`. */
export function serveMetadata(resource: Resource) {
  const { pathname } = new URL(metadataUrl(resource.resource));
  const body = JSON.stringify(metadata(resource));
  const headers = { 'content-type': 'application/json', 'access-control-allow-origin': '*' };
  return (request: MetadataRequest, response: OutgoingResponse, next: Next): void => {
    const path = (request.originalUrl ?? request.url ?? '').split('?')[0];
    if (path === pathname && ['GET', 'HEAD'].includes(request.method ?? '')) {
      response.writeHead(200, headers);
      response.end(request.method === 'HEAD' ? '' : body);
    } else {
      next();
    }
  };
}

/**
 * Lets a request pass whose token is good and carries the resource's scopes, with {@link AuthInfo} at `request.auth`, where
 * the transport of `@modelcontextprotocol/sdk` looks for it. The verifier's audience is the resource.
 */
export function protect(verifier: Verifier, { resource, scopes = [] }: Resource): Middleware {
  const demand = { scopes, resourceMetadata: metadataUrl(resource) };
  return protectWith(verifier, demand, (request, claims, token) => {
    const auth: AuthInfo = {
      token,
      clientId: claims.clientId,
      scopes: [...claims.scopes],
      expiresAt: claims.exp,
      resource: new URL(resource),
      extra: { claims },
    };
    (request as { auth?: AuthInfo }).auth = auth;
  });
}
