import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { post } from "../api/client";
import type { Live } from "../api/live";
import type { Me } from "../api/types";
import { duration, initials } from "../lib/format";
import { switchTheme } from "../lib/theme";
import { useNow } from "../lib/useNow";
import { Glyph } from "../ui/Glyph";
import { RangePicker } from "./RangePicker";

interface Props {
  me: Me;
  live: Live;
  overview: boolean;
  menu: boolean;
  onMenu: () => void;
  onFind: () => void;
}

export function TopBar({ me, live, overview, menu, onMenu, onFind }: Props) {
  return (
    <header className="top">
      <button
        className="ico menu-btn"
        type="button"
        aria-label="Menu"
        aria-expanded={menu}
        aria-controls="menu"
        onClick={onMenu}
      >
        <svg viewBox="0 0 16 16" aria-hidden="true">
          <path d={menu ? "m4 4 8 8m0-8-8 8" : "M2.500 4.500h11M2.500 8h11M2.500 11.500h11"} />
        </svg>
      </button>
      <button className="find" type="button" onClick={onFind} aria-keyshortcuts="Control+K">
        <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">
          <circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" strokeWidth="1.4" />
          <path d="m9 9 3.5 3.5" stroke="currentColor" strokeWidth="1.4" />
        </svg>
        <span>Find a run, version or prediction</span>
        <kbd>Ctrl K</kbd>
      </button>
      <span className="sp" />
      <LiveMark live={live} />
      {overview ? <RangePicker /> : null}
      <ThemeButton />
      <Person me={me} />
    </header>
  );
}

function LiveMark({ live }: { live: Live }) {
  const now = useNow(1000);
  if (!live.connected) {
    const last =
      live.at === null ? "Connecting" : `Reconnecting, ${duration((now - live.at) / 1000)} old`;
    return (
      <span className="live">
        <Glyph kind="wait" size={10} />
        <span className="t">{last}</span>
      </span>
    );
  }
  return (
    <span className="live" title="The page reads itself again when something changes">
      <Glyph kind="live" size={10} />
      <span className="t">Live, {duration((now - (live.at ?? now)) / 1000)} ago</span>
    </span>
  );
}

function ThemeButton() {
  const [, redraw] = useState("");
  return (
    <button
      className="ico"
      type="button"
      aria-label="Switch theme"
      onClick={() => redraw(switchTheme())}
    >
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <circle cx="8" cy="8" r="5.5" />
        <path d="M8 2.500v11A5.500 5.500 0 0 0 8 2.500z" fill="currentColor" stroke="none" />
      </svg>
    </button>
  );
}

function Person({ me }: { me: Me }) {
  const leave = useMutation({
    mutationFn: () => post("/logout", {}),
    onSettled: () => window.location.assign("/login"),
  });
  const says = `${me.name}, ${me.role}`;
  if (!me.login) {
    return (
      <span className="me" role="img" aria-label={`You are ${says}`} title={says}>
        {initials(me.name)}
      </span>
    );
  }
  return (
    <button
      className="btn sm"
      type="button"
      title={`Signed in as ${says}`}
      onClick={() => leave.mutate()}
    >
      Sign out
    </button>
  );
}
