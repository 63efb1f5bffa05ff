import type { Explanation, PredictionRow, Problem, Range } from "../src/api/types";
import * as base from "./fixtures";
import { loop } from "./fixtures-loop";
import { model, models } from "./fixtures-models";
import * as more from "./fixtures-more";
import { hex } from "./random";
import { shotSvg } from "./shots";

interface Answer {
  status: number;
  type: string;
  body: string;
}

const json = (body: unknown, status = 200): Answer => ({
  status,
  type: "application/json",
  body: JSON.stringify(body),
});

function problem(status: number, detail: string): Answer {
  const body: Problem = { type: "about:blank", title: "Refused", status, detail };
  return { status, type: "application/problem+json", body: JSON.stringify(body) };
}

const orMissing = (found: unknown, what: string) =>
  found ? json(found) : problem(404, `There is no ${what}.`);

function predictions(params: URLSearchParams): Answer {
  const limit = Number(params.get("limit") ?? 200);
  const before = params.get("before");
  const most = Number(params.get("max_confidence") ?? 1);
  const [label, slot, q] = ["label", "slot", "q"].map((name) => params.get(name));
  const match = (row: PredictionRow) =>
    (!label || row.label === label) &&
    (!slot || row.slot === slot) &&
    row.confidence <= most &&
    (!q || row.id.includes(q) || row.model === q);
  const all = more.predictions.filter(match);
  const from = before ? all.findIndex((row) => row.id < before) : 0;
  const rows = from < 0 ? [] : all.slice(from, from + limit);
  const last = rows[rows.length - 1];
  return json({
    rows,
    total: all.length,
    held: all.length,
    older: last && from + limit < all.length ? last.id : null,
  });
}

function heat(): Explanation {
  const side = 32;
  const grid = Array.from({ length: side }, (_, y) =>
    Array.from({ length: side }, (_, x) => Math.exp(-((x - 18) ** 2 + (y - 13) ** 2) / 60)),
  );
  return { method: "Grad-CAM", label: "scratch", model: "v17", seconds: 0.21, heat: grid };
}

function read(path: string, params: URLSearchParams): Answer {
  const [head = "", one = "", two = ""] = path.split("/").map(decodeURIComponent);
  switch (head) {
    case "me":
      return json(base.me);
    case "loop":
      return json(loop((params.get("range") ?? "1h") as Range));
    case "rollout":
      return json(base.rollout);
    case "drift":
      return one
        ? { status: 200, type: "text/html", body: "<h1>Drift report</h1>" }
        : json(base.drift);
    case "models":
      return one ? orMissing(model(one), "such model") : json(models);
    case "predictions":
      return one ? orMissing(more.prediction(one), "such answer") : predictions(params);
    case "lineage":
      return orMissing(more.lineage(one), "thing of that id");
    case "images": {
      const svg = shotSvg(one || two);
      return svg ? { status: 200, type: "image/svg+xml", body: svg } : problem(404, "not kept");
    }
    case "samples":
      return json(more.samples);
    case "labels":
      return json(more.queue);
    case "alerts":
      return json(more.alerts);
    case "audit":
      return json(
        base.auditPage(
          Number(params.get("limit") ?? 50),
          params.has("before") ? Number(params.get("before")) : null,
        ),
      );
    case "automation":
      return json(more.automation);
    case "keys":
      return json(more.keys);
    case "find": {
      const q = (params.get("q") ?? "").toLowerCase();
      return json(
        models
          .filter((each) => each.label.includes(q))
          .map((each) => ({ text: `Model ${each.label}`, href: `/models/${each.version}` })),
      );
    }
    default:
      return problem(404, `There is nothing at ${path}.`);
  }
}

function write(path: string, body: Buffer): Answer {
  const [head = "", one = ""] = path.split("/").map(decodeURIComponent);
  if (path === "try/explain") return json(heat());
  if (head === "try") return json(more.detail(more.predictions[3]!));
  if (head === "verify") return json(more.verified(one));
  const sent = body.length ? (JSON.parse(body.toString()) as Record<string, unknown>) : {};
  if (sent.reason === "conflict")
    return problem(409, "The rollout is at revision 42 now: admin held it.");
  if (head === "login")
    return sent.password === "wrong" ? problem(401, "Name or password is wrong.") : json(base.me);
  if (head === "rollout") return json(base.rollout);
  if (path === "keys") return json({ key: more.keys.keys[0], secret: `mlops_${hex(77, 40)}` });
  return json({ message: "Done.", replayed: false });
}

export function answer(method: string, url: URL, body: Buffer): Answer {
  const path = url.pathname.replace("/api/v1/", "");
  return method === "POST" ? write(path, body) : read(path, url.searchParams);
}
