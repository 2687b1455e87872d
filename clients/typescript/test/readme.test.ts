// The code that README.md shows is code that runs: in an example, or in the live steps.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const root = new URL('../../', import.meta.url);
const read = (file: string) => readFileSync(new URL(file, root), 'utf8');

/** The lines of a file that are marked for a page, here (`shown`) or in the project's own (`recipe`). */
function marked(file: string, name: string): string {
  const mark = new RegExp(`// (?:shown|recipe)[:] ${name}\\n(.*?)\\n// end of `, 's');
  const found = mark.exec(read(file))?.[1];
  assert.ok(found, `${file} marks no ${name}`);
  return found;
}

test('the code of README.md is what runs', () => {
  const blocks = [...read('README.md').matchAll(/(?:<!-- (\S+): (\S+) -->\n)?```js\n(.*?)\n```/gs)];
  assert.ok(blocks.length >= 5);
  for (const [, file, name, code] of blocks) {
    assert.ok(file && name, `no source of:\n${code}`);
    assert.equal(code, marked(file, name));
  }
});
