// Measures what a person downloads for each page, gzipped, from Vite's manifest, and fails beyond
// the budgets. Only scripts and styles count; fonts and images are not on the way to a first use.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const KB = 1024;
const SHELL = 130 * KB;
const PAGE = 300 * KB;
const ROOT = new URL("../../server/static/", import.meta.url);

const manifest = JSON.parse(readFileSync(new URL(".vite/manifest.json", ROOT), "utf8"));

const sizes = new Map();
function size(file) {
  if (!sizes.has(file))
    sizes.set(file, gzipSync(readFileSync(new URL(file, ROOT)), { level: 9 }).length);
  return sizes.get(file);
}

/** All files of a chunk and of what it imports; `deep` follows what it loads later, too. */
function files(key, deep, into = new Set(), seen = new Set()) {
  if (seen.has(key)) return into;
  seen.add(key);
  const chunk = manifest[key];
  into.add(chunk.file);
  for (const style of chunk.css ?? []) into.add(style);
  for (const next of chunk.imports ?? []) files(next, deep, into, seen);
  if (deep) for (const next of chunk.dynamicImports ?? []) files(next, deep, into, seen);
  return into;
}

const total = (set) => [...set].reduce((sum, file) => sum + size(file), 0);
const show = (bytes) => `${(bytes / KB).toFixed(1).padStart(6)} KB`;

const entry = Object.keys(manifest).find((key) => manifest[key].isEntry);
const shell = files(entry, false);
// Dialogs that the shell opens may be opened on any page.
const dialogs = manifest[entry].dynamicImports.filter((key) => !key.startsWith("src/pages/"));
const pages = Object.keys(manifest).filter(
  (key) => key.startsWith("src/pages/") && manifest[entry].dynamicImports.includes(key),
);

let failed = false;
const loads = {};
function check(name, files, most) {
  const bytes = total(files);
  loads[name] = [...files].sort();
  const over = bytes > most;
  failed ||= over;
  console.log(`${show(bytes)} of ${show(most)}  ${over ? "TOO MUCH " : ""}${name}`);
}

check("shell", shell, SHELL);
for (const page of pages.sort()) {
  const all = new Set(shell);
  for (const file of files(page, true, new Set(), new Set([entry]))) all.add(file);
  for (const dialog of dialogs)
    for (const file of files(dialog, true, new Set(), new Set([entry]))) all.add(file);
  check(page.replace(/^src\/pages\/|\.tsx$/g, ""), all, PAGE);
}
// The tests hold the built files to the same budgets, without Node.
writeFileSync(new URL("loads.json", ROOT), `${JSON.stringify(loads, null, 1)}\n`);
// It is for this alone, and no part of what is served.
if (!failed) rmSync(new URL(".vite/", ROOT), { recursive: true });
process.exit(failed ? 1 : 0);
