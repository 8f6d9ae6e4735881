import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";

import * as oniguruma from "vscode-oniguruma";
import * as textmate from "vscode-textmate";

async function grammar(): Promise<textmate.IGrammar> {
  const wasm = fs.readFileSync(path.join(process.cwd(), "node_modules/vscode-oniguruma/release/onig.wasm"));
  await oniguruma.loadWASM(wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength) as ArrayBuffer);
  const file = path.join(process.cwd(), "syntaxes/hlb.tmLanguage.json");
  const registry = new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
      createOnigString: (text) => new oniguruma.OnigString(text),
    }),
    loadGrammar: async () => textmate.parseRawGrammar(fs.readFileSync(file, "utf8"), file),
  });
  const loaded = await registry.loadGrammar("source.hlb");
  assert.ok(loaded);
  return loaded;
}

/** `text scope` of every token that has a scope of its own. */
function tokens(loaded: textmate.IGrammar, source: string): string[] {
  const found: string[] = [];
  let state = textmate.INITIAL;
  for (const line of source.split("\n")) {
    const result = loaded.tokenizeLine(line, state);
    state = result.ruleStack;
    for (const token of result.tokens) {
      const scope = token.scopes.at(-1) ?? "";
      if (scope !== "source.hlb") {
        found.push(`${line.slice(token.startIndex, token.endIndex).trim()} ${scope.replace(/\.hlb$/, "")}`);
      }
    }
  }
  return found;
}

test("HLB is highlighted", async () => {
  const loaded = await grammar();
  assert.deepEqual(tokens(loaded, '# note\nfs default() {\n\timage "alpine:${v}"\n}'), [
    "# note comment.line.number-sign",
    "fs storage.type",
    "default entity.name.function",
    "image support.function",
    '" string.quoted.double',
    "alpine: string.quoted.double",
    "${ punctuation.section.interpolation",
    "v meta.interpolation",
    "} punctuation.section.interpolation",
    '" string.quoted.double',
  ]);
  assert.deepEqual(tokens(loaded, "if fresh { dockerfile context } else {"), ["if keyword.control", "else keyword.control"]);
  assert.deepEqual(tokens(loaded, "run <<-EOF\n\techo # not a comment\n\tEOF\n# c").at(-1), "# c comment.line.number-sign");
});
