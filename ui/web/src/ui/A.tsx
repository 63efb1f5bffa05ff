import { useRouter } from "@tanstack/react-router";
import type { AnchorHTMLAttributes, MouseEvent } from "react";
import type { Part } from "../api/types";

interface Props extends AnchorHTMLAttributes<HTMLAnchorElement> {
  href: string;
}

// Dagster's and MLflow's own pages are passed on below paths of the console.
const others = ["//", "/api/", "/dagster", "/mlflow", "/runbooks/"];
const inside = (href: string) =>
  href.startsWith("/") && !others.some((prefix) => href.startsWith(prefix));

/** A link by address, as the server writes them: inside the console without a reload. */
export function A({ href, onClick, children, ...rest }: Props) {
  const router = useRouter();
  if (!inside(href)) {
    return (
      <a href={href} target="_blank" rel="noreferrer" onClick={onClick} {...rest}>
        {children}
      </a>
    );
  }
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    const modified = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
    if (event.defaultPrevented || modified || event.button !== 0) return;
    event.preventDefault();
    router.history.push(href);
  };
  const warm = () => {
    // Only the code is fetched ahead; a wrong guess costs a cached file.
    void router.preloadRoute({ to: href.split(/[?#]/)[0] } as never).catch(() => undefined);
  };
  return (
    <a href={href} onClick={follow} onMouseEnter={warm} onFocus={warm} {...rest}>
      {children}
    </a>
  );
}

/** A sentence whose pieces may be links. */
export function Sentence({ parts }: { parts: readonly Part[] }) {
  return parts.map((part, index) =>
    part.href ? (
      <A key={index} className="l" href={part.href}>
        {part.text}
      </A>
    ) : (
      <span key={index}>{part.text}</span>
    ),
  );
}
