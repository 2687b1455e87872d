// Where a client's id comes from, and what proves it: what it was given, else the environment.

import { NoCredentials } from './errors.js';
import { processEnv, readValue } from './runtime.js';

export interface CredentialOptions {
  /** The agent's id. */
  readonly clientId?: string | undefined;
  /** Its secret. */
  readonly clientSecret?: string | undefined;
  /** The file that holds its secret, read anew for each request, so that a rotated secret is found. */
  readonly clientSecretFile?: string | undefined;
  /**
   * The file that holds an assertion (RFC 7523) in place of a secret, read anew for each request: signed with the
   * agent's own key, which makes it good for one token, or a token of its platform.
   */
  readonly assertionFile?: string | undefined;
  /** The environment, where it is not the process's (`env` of a worker). */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

/** The parameters of a request that say and prove who the client is, by a secret (RFC 6749 §2.3.1) or an assertion (RFC 7523 §2.2). */
export type Credentials = readonly (readonly [name: string, value: string])[];

/** Reads the credentials, at each request anew. */
export type CredentialSource = () => Promise<Credentials>;

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/**
 * The first that is complete: what was given; `SEALWRIGHT_CLIENT_ID` with its secret or the secret's file; or with
 * `SEALWRIGHT_IDENTITY_TOKEN_FILE`.
 */
export function credentialSource(options: CredentialOptions): CredentialSource {
  const clientId = options.clientId ?? env(options, 'SEALWRIGHT_CLIENT_ID');
  const { clientSecret, clientSecretFile, assertionFile } = options;
  const given = Object.entries({ clientSecret, clientSecretFile, assertionFile })
    .filter(([, value]) => value !== undefined)
    .map(([name]) => name);
  if (given.length > 1) throw new NoCredentials(`${given.join(' and ')}: give one of them`);
  if (given.length === 1) return complete(clientId, clientSecret, clientSecretFile, assertionFile);
  const [secret, file, assertion] = [
    env(options, 'SEALWRIGHT_CLIENT_SECRET'),
    env(options, 'SEALWRIGHT_CLIENT_SECRET_FILE'),
    env(options, 'SEALWRIGHT_IDENTITY_TOKEN_FILE'),
  ];
  if (secret !== undefined && file !== undefined) {
    throw new NoCredentials(
      'SEALWRIGHT_CLIENT_SECRET and SEALWRIGHT_CLIENT_SECRET_FILE are both set: unset one',
    );
  }
  const bySecret = secret !== undefined || file !== undefined;
  return complete(clientId, secret, file, bySecret ? undefined : assertion);
}

function complete(
  clientId: string | undefined,
  clientSecret: string | undefined,
  secretFile: string | undefined,
  assertionFile: string | undefined,
): CredentialSource {
  if (!clientId || (!clientSecret && !secretFile && !assertionFile)) {
    throw new NoCredentials(
      'no credentials: give clientId and clientSecret, or set SEALWRIGHT_CLIENT_ID and ' +
        'SEALWRIGHT_CLIENT_SECRET, SEALWRIGHT_CLIENT_SECRET_FILE or SEALWRIGHT_IDENTITY_TOKEN_FILE',
    );
  }
  const id = ['client_id', clientId] as const;
  if (assertionFile !== undefined) {
    return async () => [
      id,
      ['client_assertion_type', ASSERTION_TYPE],
      ['client_assertion', await readProof(assertionFile, 'assertion')],
    ];
  }
  return async () => [
    id,
    [
      'client_secret',
      secretFile === undefined ? (clientSecret as string) : await readProof(secretFile, 'secret'),
    ],
  ];
}

async function readProof(file: string, what: string): Promise<string> {
  let proof: string;
  try {
    proof = await readValue(file);
  } catch (cause) {
    throw new NoCredentials(`the ${what}'s file cannot be read: ${file}`, { cause });
  }
  if (!proof) throw new NoCredentials(`the ${what}'s file is empty: ${file}`);
  return proof;
}

/** An empty variable counts as absent: Kubernetes cannot unset what an image sets. */
export function env(options: CredentialOptions, name: string): string | undefined {
  return (options.env ?? processEnv())[name] || undefined;
}
