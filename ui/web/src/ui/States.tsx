import type { ReactNode } from "react";
import { ApiError } from "../api/client";
import { sentence } from "../lib/format";
import { Glyph } from "./Glyph";

/** Holds the place of something that loads, in its final size. */
export function Skeleton({ height, label = "Loading" }: { height: number; label?: string }) {
  return (
    <div className="sk" style={{ height }} role="status" aria-label={label}>
      <span className="sr">{label}</span>
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <b>{title}</b>
      {children}
    </div>
  );
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

interface FailureProps {
  error: unknown;
  what?: string;
  retry?: () => void;
}

export function Failure({ error, what = "This", retry }: FailureProps) {
  const conflict = error instanceof ApiError && error.status === 409;
  return (
    <div className="error" role="alert">
      <Glyph kind={conflict ? "warn" : "bad"} ground="var(--bad-soft)" />
      <div>
        <div>
          {conflict
            ? "It changed meanwhile, look again: nothing was done. "
            : what
              ? `${what} could not be read. `
              : ""}
          {conflict ? sentence(errorText(error).replace(/; look again$/, "")) : errorText(error)}
        </div>
        {retry ? (
          <button type="button" className="btn sm" onClick={retry}>
            Try again
          </button>
        ) : null}
      </div>
    </div>
  );
}
