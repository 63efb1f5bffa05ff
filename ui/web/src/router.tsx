import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
} from "@tanstack/react-router";
import { Crash, NotFound } from "./app/Crash";
import { Shell } from "./app/Shell";
import {
  modelSearch,
  overviewSearch,
  parseSearch,
  predictionSearch,
  stringifySearch,
} from "./lib/url";

const root = createRootRoute({ component: Outlet, notFoundComponent: NotFound });
const shell = createRoute({ getParentRoute: () => root, id: "shell", component: Shell });

const login = createRoute({
  getParentRoute: () => root,
  path: "/login",
  validateSearch: (raw: Record<string, unknown>): { next?: string } =>
    typeof raw.next === "string" && /^\/(?!\/)/.test(raw.next) ? { next: raw.next } : {},
  component: lazyRouteComponent(() => import("./pages/Login")),
});
const overview = createRoute({
  getParentRoute: () => shell,
  path: "/",
  validateSearch: overviewSearch,
  component: lazyRouteComponent(() => import("./pages/Overview")),
});
const models = createRoute({
  getParentRoute: () => shell,
  path: "/models",
  validateSearch: modelSearch,
  component: lazyRouteComponent(() => import("./pages/Models")),
});
const model = createRoute({
  getParentRoute: () => shell,
  path: "/models/$version",
  component: lazyRouteComponent(() => import("./pages/Model")),
});
const rollout = createRoute({
  getParentRoute: () => shell,
  path: "/rollout",
  component: lazyRouteComponent(() => import("./pages/Rollout")),
});
const drift = createRoute({
  getParentRoute: () => shell,
  path: "/drift",
  component: lazyRouteComponent(() => import("./pages/Drift")),
});
const predictions = createRoute({
  getParentRoute: () => shell,
  path: "/predictions",
  validateSearch: predictionSearch,
  component: lazyRouteComponent(() => import("./pages/Predictions")),
});
const prediction = createRoute({
  getParentRoute: () => shell,
  path: "/predictions/$id",
  component: lazyRouteComponent(() => import("./pages/Prediction")),
});
const tryIt = createRoute({
  getParentRoute: () => shell,
  path: "/try",
  component: lazyRouteComponent(() => import("./pages/TryIt")),
});
const lineage = createRoute({
  getParentRoute: () => shell,
  path: "/lineage",
  component: lazyRouteComponent(() => import("./pages/LineageSearch")),
});
const lineageOf = createRoute({
  getParentRoute: () => shell,
  path: "/lineage/$id",
  component: lazyRouteComponent(() => import("./pages/Lineage")),
});
const labels = createRoute({
  getParentRoute: () => shell,
  path: "/labels",
  component: lazyRouteComponent(() => import("./pages/Labels")),
});
const alerts = createRoute({
  getParentRoute: () => shell,
  path: "/alerts",
  component: lazyRouteComponent(() => import("./pages/Alerts")),
});
const automation = createRoute({
  getParentRoute: () => shell,
  path: "/automation",
  component: lazyRouteComponent(() => import("./pages/Automation")),
});
const keys = createRoute({
  getParentRoute: () => shell,
  path: "/keys",
  component: lazyRouteComponent(() => import("./pages/Keys")),
});
const audit = createRoute({
  getParentRoute: () => shell,
  path: "/audit",
  component: lazyRouteComponent(() => import("./pages/Audit")),
});

export const router = createRouter({
  routeTree: root.addChildren([
    login,
    shell.addChildren([
      overview,
      models,
      model,
      rollout,
      drift,
      predictions,
      prediction,
      tryIt,
      lineage,
      lineageOf,
      labels,
      alerts,
      automation,
      keys,
      audit,
    ]),
  ]),
  parseSearch,
  stringifySearch,
  scrollRestoration: true,
  defaultErrorComponent: Crash,
  defaultNotFoundComponent: NotFound,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
