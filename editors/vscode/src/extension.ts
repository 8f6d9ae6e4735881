// The client: starts `llbc lsp` and runs the commands of its lenses.
import * as vscode from "vscode";
import { LanguageClient, type LanguageClientOptions, type ServerOptions } from "vscode-languageclient/node";

import { buildCommand, findServer, quote } from "./server";

let client: LanguageClient | undefined;

function settings(): unknown {
  const section = vscode.workspace.getConfiguration("llbc");
  const names = ["context", "target", "buildArgs", "check", "rules", "facts", "codeLens", "inlayHints"];
  return Object.fromEntries(names.map((name) => [name, section.get(name)]));
}

function program(context: vscode.ExtensionContext): string | undefined {
  const found = findServer({
    setting: vscode.workspace.getConfiguration("llbc").get("path", ""),
    extension: context.extensionPath,
    path: process.env["PATH"] ?? "",
    platform: process.platform,
  });
  if ("missing" in found) {
    void vscode.window.showErrorMessage(found.missing);
    return undefined;
  }
  return found.program;
}

async function start(context: vscode.ExtensionContext): Promise<void> {
  const command = program(context);
  if (command === undefined) {
    return;
  }
  const server: ServerOptions = { command, args: ["lsp"] };
  const options: LanguageClientOptions = {
    documentSelector: [
      { language: "dockerfile" },
      { language: "hlb" },
      { pattern: "**/{build.toml,*.build.toml}" },
    ],
    initializationOptions: settings(),
    synchronize: {
      fileEvents: vscode.workspace.createFileSystemWatcher("**/{.dockerignore,*.dockerignore,llbc.toml}"),
    },
  };
  client = new LanguageClient("llbc", "llbc", server, options);
  await client.start();
}

async function stop(): Promise<void> {
  const running = client;
  client = undefined;
  await running?.stop();
}

/** Builds in a terminal, where its output and its end can be seen. */
function build(context: vscode.ExtensionContext, uri: string, target: string): void {
  const command = program(context);
  if (command !== undefined) {
    const terminal = vscode.window.createTerminal("llbc build");
    terminal.show();
    terminal.sendText(quote(buildCommand(command, vscode.Uri.parse(uri).fsPath, target)));
  }
}

interface Position { line: number; character: number }
interface Place { uri: string; range: { start: Position; end: Position } }

function showReferences(uri: string, position: Position, places: Place[]): Thenable<unknown> {
  const point = ({ line, character }: Position) => new vscode.Position(line, character);
  const locations = places.map(
    ({ uri, range }) => new vscode.Location(vscode.Uri.parse(uri), new vscode.Range(point(range.start), point(range.end))),
  );
  return vscode.commands.executeCommand(
    "editor.action.showReferences", vscode.Uri.parse(uri), point(position), locations);
}

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const restart = async () => {
    await stop();
    await start(context);
  };
  context.subscriptions.push(
    vscode.commands.registerCommand("llbc.restart", restart),
    vscode.commands.registerCommand("llbc.build", (uri: string, target: string) => build(context, uri, target)),
    vscode.commands.registerCommand("llbc.showReferences", showReferences),
    vscode.workspace.onDidChangeConfiguration(async (event) => {
      if (event.affectsConfiguration("llbc.path")) {
        await restart();
      } else if (event.affectsConfiguration("llbc")) {
        await client?.sendNotification("workspace/didChangeConfiguration", { settings: settings() });
      }
    }),
  );
  await start(context);
}

export function deactivate(): Promise<void> {
  return stop();
}
