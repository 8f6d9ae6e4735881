import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";

import { buildCommand, findServer, quote } from "../src/server";

function withPrograms(files: string[], check: (root: string) => void): void {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "llbc-"));
  try {
    for (const file of files) {
      fs.mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
      fs.writeFileSync(path.join(root, file), "", { mode: 0o755 });
    }
    check(root);
  } finally {
    fs.rmSync(root, { recursive: true });
  }
}

function found(root: string, setting: string): string {
  const places = { extension: path.join(root, "ext"), path: `relative:${root}/a:${root}/b`, platform: "linux" as const };
  const result = findServer({ setting, ...places });
  return "program" in result ? path.relative(root, result.program) : result.missing;
}

test("the setting goes before the extension, the extension before the PATH", () => {
  withPrograms(["ext/bin/llbc", "b/llbc", "mine"], (root) => {
    assert.equal(found(root, path.join(root, "mine")), "mine");
    assert.equal(found(root, ""), "ext/bin/llbc");
  });
  withPrograms(["b/llbc"], (root) => assert.equal(found(root, ""), "b/llbc"));
});

test("what is missing is said", () => {
  withPrograms([], (root) => {
    assert.match(found(root, ""), /neither in the extension nor on the PATH/);
    assert.match(found(root, "/no/llbc"), /\/no\/llbc, which the setting llbc.path names/);
  });
});

test("a build is one command, whatever names hold", () => {
  const words = buildCommand("/bin/llbc", "/a b/Dockerfile", "x';rm -rf /");
  assert.equal(quote(words), `'/bin/llbc' 'build' '--file' '/a b/Dockerfile' '--target' 'x'\\'';rm -rf /' '/a b'`);
});

test("every setting of the manifest is one the server knows", () => {
  const manifest = JSON.parse(fs.readFileSync(path.join(process.cwd(), "package.json"), "utf8"));
  const names = Object.keys(manifest.contributes.configuration.properties).map((name) => name.slice("llbc.".length));
  const server = fs.readFileSync(path.join(process.cwd(), "../../lsp/src/protocol/settings.rs"), "utf8");
  const camel = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const known = [...server.matchAll(/^    pub ([a-z_]+): /gm)].map((match) => camel(match[1] ?? ""));
  for (const name of names.filter((name) => name !== "path")) {
    assert.ok(known.includes(name.split(".").at(-1) ?? ""), `${name} is not among ${known.join(", ")}`);
  }
});
