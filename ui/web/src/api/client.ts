import type { Problem } from "./types";

const ROOT = "/api/v1";

/** What the server said went wrong; `detail` is written for people. */
export class ApiError extends Error {
  readonly status: number;
  readonly title: string;

  constructor(status: number, title: string, detail: string) {
    super(detail || title);
    this.name = "ApiError";
    this.status = status;
    this.title = title;
  }
}

let csrf = "";

/** The token of the session that `me` names; every change carries it. */
export function setCsrf(token: string) {
  csrf = token;
}

async function problem(response: Response): Promise<ApiError> {
  try {
    const body = (await response.json()) as Partial<Problem>;
    const detail = typeof body.detail === "string" ? body.detail : "";
    return new ApiError(response.status, body.title ?? response.statusText, detail);
  } catch {
    return new ApiError(
      response.status,
      response.statusText,
      `The console's server answered ${response.status}.`,
    );
  }
}

async function request<T>(path: string, init: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(ROOT + path, { credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "No answer", "The console's server does not answer.");
  }
  if (!response.ok) throw await problem(response);
  if (response.status === 204) return undefined as T;
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return request<T>(path, { signal: signal ?? null, headers: { accept: "application/json" } });
}

/** `key` makes a repeated send harmless: the server answers the first result again. */
export function post<T>(path: string, body: unknown, key = newKey()): Promise<T> {
  const raw = body instanceof Blob;
  return request<T>(path, {
    method: "POST",
    headers: {
      accept: "application/json",
      "content-type": raw ? body.type || "application/octet-stream" : "application/json",
      "X-CSRF-Token": csrf,
      "Idempotency-Key": key,
    },
    body: raw ? body : JSON.stringify(body ?? {}),
  });
}

export function imageUrl(sha: string): string {
  return `${ROOT}/images/${encodeURIComponent(sha)}`;
}

/** `crypto.randomUUID` is missing where the console is opened over plain HTTP from another machine. */
export function newKey(): string {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join("-");
}

export function query(params: Record<string, string | number | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return text ? `?${text}` : "";
}
