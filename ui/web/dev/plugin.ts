import type { IncomingMessage, ServerResponse } from "node:http";
import { type Connect, type Plugin, runnerImport } from "vite";

type Api = typeof import("./api");

async function body(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

function middleware(): Connect.NextHandleFunction {
  let loaded: Promise<Api> | undefined;
  return async (request, response, next) => {
    if (!request.url?.startsWith("/api/v1/")) return next();
    loaded ??= runnerImport<Api>(new URL("./api.ts", import.meta.url).pathname).then(
      (r) => r.module,
    );
    const api = await loaded;
    const url = new URL(request.url, "http://fixture");
    if (url.pathname === "/api/v1/stream") return stream(request, response);
    const answer = api.answer(request.method ?? "GET", url, await body(request));
    await new Promise((done) => setTimeout(done, 60));
    response.writeHead(answer.status, { "content-type": answer.type, "cache-control": "no-store" });
    response.end(answer.body);
  };
}

function stream(request: IncomingMessage, response: ServerResponse) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  const send = () =>
    response.write(`event: loop\ndata: ${JSON.stringify({ at: new Date().toISOString() })}\n\n`);
  send();
  const timer = setInterval(send, 15_000);
  request.on("close", () => clearInterval(timer));
}

/** Serves made-up answers below /api/v1 in development and preview; never part of the bundle. */
export function fixtureApi(): Plugin {
  return {
    name: "fixture-api",
    configureServer: (server) => {
      server.middlewares.use(middleware());
    },
    configurePreviewServer: (server) => {
      server.middlewares.use(middleware());
    },
  };
}
