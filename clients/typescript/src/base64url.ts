// Base64url without padding (RFC 7515 §2).

/** Without padding, of a length that base64 can have, and not empty. */
export function isBase64url(part: string): boolean {
  return part.length % 4 !== 1 && /^[A-Za-z0-9_-]+$/.test(part);
}

/** The bytes of a text that {@link isBase64url}. */
export function decodeBase64url(part: string): Uint8Array {
  const text = atob(part.replaceAll('-', '+').replaceAll('_', '/'));
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = text.charCodeAt(at);
  return bytes;
}
