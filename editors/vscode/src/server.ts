// Where the program is. Knows nothing of the editor, so that tests need none.
import * as fs from "node:fs";
import * as path from "node:path";

/** What decides which program is run. */
export interface Places {
  /** The setting; empty when it is not set. */
  setting: string;
  /** Directory of the extension. */
  extension: string;
  /** Directories of the PATH variable, joined as the platform does. */
  path: string;
  platform: NodeJS.Platform;
}

/** The program to run, or why there is none. */
export type Found = { program: string } | { missing: string };

function isProgram(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

/** The program of the setting, else that of the extension, else that of the PATH. */
export function findServer(places: Places): Found {
  if (places.setting !== "") {
    return isProgram(places.setting)
      ? { program: places.setting }
      : { missing: `${places.setting}, which the setting llbc.path names, is no program` };
  }
  const name = places.platform === "win32" ? "llbc.exe" : "llbc";
  const delimiter = places.platform === "win32" ? ";" : ":";
  const directories = [path.join(places.extension, "bin"), ...places.path.split(delimiter)];
  const program = directories
    .filter((directory) => path.isAbsolute(directory))
    .map((directory) => path.join(directory, name))
    .find(isProgram);
  return program === undefined
    ? { missing: "llbc is neither in the extension nor on the PATH; set llbc.path to where it is" }
    : { program };
}

/** The words of a command line that builds a target of a file in its directory. */
export function buildCommand(program: string, file: string, target: string): string[] {
  return [program, "build", "--file", file, "--target", target, path.dirname(file)];
}

/** A command line for a POSIX shell: every word quoted, so that none is more than a word. */
export function quote(words: string[]): string {
  return words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
}
