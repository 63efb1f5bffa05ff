import { useQuery } from "@tanstack/react-query";
import { Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { ApiError } from "../api/client";
import { useLive } from "../api/live";
import { loopQuery, meQuery } from "../api/queries";
import { overviewSearch } from "../lib/url";
import { ChangeProvider } from "../ui/change";
import { Failure } from "../ui/States";
import { Toasts } from "../ui/toasts";
import { Sidebar } from "./Sidebar";
import { SourcesContext } from "./sources";
import { TopBar } from "./TopBar";

const FindDialog = lazy(() => import("./FindDialog"));

/** Sends the person to the login page once; the address on the way there is not one to return to. */
function ToLogin({ from }: { from: string }) {
  const navigate = useNavigate();
  const [next] = useState(from);
  useEffect(() => {
    void navigate({ to: "/login", search: { next }, replace: true });
  }, [navigate, next]);
  return null;
}

/** The frame around every page: navigation, top bar, and what opens over pages. */
export function Shell() {
  const me = useQuery(meQuery);
  const location = useRouterState({ select: (state) => state.location });
  const path = location.pathname;
  const range = overviewSearch(location.search as Record<string, unknown>).range ?? "1h";
  const loop = useQuery({ ...loopQuery(range), enabled: me.isSuccess });
  const live = useLive(me.isSuccess);
  const [menu, setMenu] = useState(false);
  const [find, setFind] = useState(false);
  const main = useRef<HTMLElement>(null);
  const before = useRef(path);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setFind(true);
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);

  useEffect(() => {
    setMenu(false);
    // A new page is read from its top, by eye and by screen reader alike.
    if (before.current !== path) main.current?.focus({ preventScroll: true });
    before.current = path;
  }, [path]);

  if (me.error instanceof ApiError && me.error.status === 401) {
    return <ToLogin from={location.href} />;
  }
  if (me.isError) {
    return (
      <main>
        <h1>The console</h1>
        <Failure error={me.error} what="Who you are" retry={() => void me.refetch()} />
      </main>
    );
  }
  if (!me.data) return null;
  return (
    <SourcesContext.Provider value={loop.data?.sources ?? []}>
      <ChangeProvider>
        <a className="skip" href="#main">
          Skip to content
        </a>
        <div className="app">
          <Sidebar me={me.data} loop={loop.data} path={path} open={menu} />
          <div>
            <TopBar
              me={me.data}
              live={live}
              overview={path === "/"}
              menu={menu}
              onMenu={() => setMenu(!menu)}
              onFind={() => setFind(true)}
            />
            <main id="main" tabIndex={-1} ref={main}>
              <Outlet />
            </main>
          </div>
        </div>
        {find ? (
          <Suspense fallback={null}>
            <FindDialog onClose={() => setFind(false)} />
          </Suspense>
        ) : null}
        <Toasts />
      </ChangeProvider>
    </SourcesContext.Provider>
  );
}
