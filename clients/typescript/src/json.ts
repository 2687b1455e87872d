// JSON that says each thing once. `JSON.parse` takes the last of two members of one name, others take the first, and
// a token must mean the same to all.

/** Deeper nesting than every JSON library can read, on whatever stack, is refused. */
const MAX_DEPTH = 64;
/** A lone surrogate is no text: other languages read another character. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * The object of a JSON text; none where it is anything else, where a member of any object in it is repeated, where a text in
 * it is no Unicode, or where it is nested too deeply.
 */
export function strictObject(text: string): Readonly<Record<string, unknown>> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject && isStrict(text) ? (value as Record<string, unknown>) : undefined;
}

/** Whether valid JSON has no object with two members of one name, no lone surrogate, and no deep nesting. */
function isStrict(text: string): boolean {
  // Of each open object the names so far; of an open array nothing.
  const open: (Set<string> | undefined)[] = [];
  const tokens = /"(?:[^"\\]|\\.)*"|[{}[\]]/g;
  for (let found = tokens.exec(text); found; found = tokens.exec(text)) {
    const [token] = found;
    if (token.includes('\\u') && LONE_SURROGATE.test(JSON.parse(token) as string)) return false;
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(undefined);
    else if (token === '}' || token === ']') open.pop();
    else if (isName(text, tokens.lastIndex)) {
      const names = open.at(-1);
      const name = token.includes('\\') ? (JSON.parse(token) as string) : token.slice(1, -1);
      if (names?.has(name)) return false;
      names?.add(name);
    }
    if (open.length > MAX_DEPTH) return false;
  }
  return true;
}

/** Whether a colon follows, however much white space stands before it. */
function isName(text: string, at: number): boolean {
  let next = at;
  while (' \t\r\n'.includes(text.charAt(next)) && next < text.length) next += 1;
  return text.charAt(next) === ':';
}
