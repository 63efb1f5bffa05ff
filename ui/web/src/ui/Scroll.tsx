import { type ReactNode, useEffect, useRef, useState } from "react";

interface Props {
  label: string;
  className?: string;
  children: ReactNode;
}

/** Scrolls what is too wide inside its panel; the keyboard reaches it only where there is need. */
export function Scroll({ label, className = "", children }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [wide, setWide] = useState(false);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const look = () => setWide(element.scrollWidth > element.clientWidth + 1);
    look();
    const observer = new ResizeObserver(look);
    observer.observe(element);
    if (element.firstElementChild) observer.observe(element.firstElementChild);
    return () => observer.disconnect();
  }, []);
  const reachable = wide
    ? { role: "region", tabIndex: 0, "aria-label": `${label}, scrolls sideways` }
    : {};
  return (
    <div ref={box} className={`scroll ${className}`} {...reachable}>
      {children}
    </div>
  );
}
