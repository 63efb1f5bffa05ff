import { ago, exact, utc, when, whenShort } from "../lib/time";
import { useNow } from "../lib/useNow";

interface Props {
  at: string;
  form?: "when" | "short" | "ago" | "exact";
}

/** A moment in the reader's own time; the title tells it in UTC. */
export function Time({ at, form = "when" }: Props) {
  const now = useNow(form === "ago" ? 10_000 : 60_000);
  const text =
    form === "ago"
      ? ago(at, now)
      : form === "short"
        ? whenShort(at)
        : form === "exact"
          ? exact(at)
          : when(at);
  return (
    <time dateTime={at} title={utc(at)}>
      {text}
    </time>
  );
}
