// Checks custom resources against the models that their projects publish.
//   node crds.mjs < DOCUMENTS.json     (an array) prints one line a fault; exit 1 if there are any
// What has no model is a fault, and so is a field that its model never looks at.
import { readFileSync } from "node:fs";

const PACKAGES = {
  "gateway.networking.k8s.io": "@kubernetes-models/gateway-api",
  "monitoring.coreos.com": "@kubernetes-models/prometheus-operator",
};
const PARTS = ["apiVersion", "kind", "metadata", "spec"];

// The models let unknown fields pass, but read every field that they know.
function watched(value, path, unread) {
  if (value === null || typeof value !== "object") return value;
  const inside = new Map();
  for (const [key, each] of Object.entries(value)) {
    unread.add(`${path}.${key}`);
    inside.set(key, watched(each, `${path}.${key}`, unread));
  }
  return new Proxy(value, {
    get(target, key) {
      unread.delete(`${path}.${String(key)}`);
      return inside.has(key) ? inside.get(key) : target[key];
    },
  });
}

async function faultsOf(document) {
  const [group, version] = document.apiVersion.split("/");
  let model;
  try {
    model = (await import(`${PACKAGES[group]}/${group}/${version}/${document.kind}`))[document.kind];
  } catch {
    return [`no model for ${document.apiVersion}`];
  }
  const unread = new Set();
  try {
    model.prototype.validate.call(watched(document, "", unread));
  } catch (error) {
    return [error.message];
  }
  const extra = Object.keys(document).filter((key) => !PARTS.includes(key));
  return [...extra, ...unread].map((path) => `unknown field ${path}`);
}

let bad = 0;
for (const document of JSON.parse(readFileSync(0, "utf8"))) {
  for (const fault of await faultsOf(document)) {
    bad += 1;
    console.log(`${document.kind} ${document.metadata?.name}: ${fault}`);
  }
}
process.exit(bad ? 1 : 0);
