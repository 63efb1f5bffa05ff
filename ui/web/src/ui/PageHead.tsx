import type { ReactNode } from "react";
import { useTitle } from "../lib/useTitle";

interface Props {
  title: string;
  sub?: ReactNode;
  children?: ReactNode;
}

/** A page's heading, which names the document too. */
export function PageHead({ title, sub, children }: Props) {
  useTitle(title);
  return (
    <header className="page-head">
      <div>
        <h1>{title}</h1>
        {sub ? <p className="sub">{sub}</p> : null}
      </div>
      {children}
    </header>
  );
}
