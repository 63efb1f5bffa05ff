import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as fixtures from "../dev/fixtures";
import { loop as fixtureLoop } from "../dev/fixtures-loop";
import { model } from "../dev/fixtures-models";
import { automation } from "../dev/fixtures-more";
import { meQuery } from "../src/api/queries";
import { SourcesContext, silentSources } from "../src/app/sources";
import { Duel } from "../src/charts/Duel";
import { HeatStrip } from "../src/charts/HeatStrip";
import { Rail } from "../src/charts/Rail";
import { Launch } from "../src/pages/Automation";
import { Confusion } from "../src/pages/models/Confusion";
import { Stop } from "../src/pages/overview/Stops";
import { ChangeDialog, type ChangeRequest } from "../src/ui/ChangeDialog";
import { deeds, RolloutActions } from "../src/ui/RolloutActions";
import { Tile } from "../src/ui/Tile";

afterEach(() => vi.unstubAllGlobals());

function within_(children: ReactNode, role: "viewer" | "operator" = "operator") {
  const client = new QueryClient({ defaultOptions: { queries: { retry: false, staleTime: 1e9 } } });
  client.setQueryData(meQuery.queryKey, { ...fixtures.me, role });
  return render(<QueryClientProvider client={client}>{children}</QueryClientProvider>);
}

describe("drawings", () => {
  it("the rail says every stage", () => {
    const loop = fixtureLoop("1h");
    render(<Rail width={1000} stages={loop.stages} slots={loop.rollout.slots} turn={loop.turn} />);
    const said = screen.getByRole("img").getAttribute("aria-label") ?? "";
    expect(said).toContain("Drift: 3 of 8 over the limit");
    expect(screen.getByText("10% v18")).toBeTruthy();
  });
  it("the heat strip names what is over", () => {
    render(<HeatStrip heat={fixtures.heat} />);
    expect(screen.getByRole("img").getAttribute("aria-label")).toContain(
      "Over the limit now: Brightness, Colour temperature, Embedding mmd.",
    );
  });
  it("the duel tells each verdict in words, lower being better", () => {
    render(
      <Duel
        findings={fixtures.rollout.findings}
        challenger="v18"
        champion="v17"
        colour="red"
        full
      />,
    );
    const row = screen.getByRole("row", { name: /Disagreement/ });
    expect(within(row).getByText("not clear")).toBeTruthy();
    expect(screen.getAllByText("yes")).toHaveLength(4);
    const ends = screen.getByText("better").parentElement?.textContent;
    expect(ends).toBe("betterworse");
  });
  it("a confusion matrix has a cell for each pair", () => {
    render(<Confusion model={model("v18")!} />);
    expect(screen.getAllByRole("cell")).toHaveLength(36);
  });
  it("an image that was not kept leaves a placeholder", () => {
    const { rerender } = render(<Tile sha="abc" alt="A defect" />);
    fireEvent.error(screen.getByRole("img"));
    expect(screen.getByLabelText("A defect, image not kept")).toBeTruthy();
    rerender(<Tile sha="def" alt="Another" />);
    expect(screen.getByAltText("Another")).toBeTruthy();
  });
});

describe("sources", () => {
  it("are silent when they are connected and do not answer", () => {
    const all = fixtureLoop("1h").sources;
    expect(silentSources(all, ["prometheus", "Dagster"]).map((each) => each.name)).toEqual([
      "Prometheus",
    ]);
    expect(silentSources(all, ["Alertmanager"])).toEqual([]);
  });
  it("dim a stop that rests on them, which names them", () => {
    const loop = fixtureLoop("1h");
    const { container } = within_(
      <SourcesContext.Provider value={loop.sources}>
        {loop.stages.map((stage) => (
          <Stop key={stage.key} stage={{ ...stage, link: { text: "", href: "" } }} />
        ))}
      </SourcesContext.Provider>,
    );
    const dimmed = [...container.querySelectorAll(".stop.stale h2")];
    expect(dimmed.map((each) => each.textContent)).toEqual(["Service"]);
    expect(screen.getByText("Prometheus does not answer")).toBeTruthy();
  });
});

describe("rollout actions", () => {
  it("are worded by the next step", () => {
    expect(deeds(fixtures.rollout, false).map((deed) => deed.text)).toEqual([
      "Promote to 50%",
      "Hold",
      "Roll back to v17",
    ]);
    const last = {
      ...fixtures.rollout,
      ladder: fixtures.rollout.ladder.map((step) =>
        step.step === "canary-50"
          ? { ...step, state: "now" as const }
          : step.step === "canary-10"
            ? { ...step, state: "done" as const }
            : step,
      ),
    };
    expect(deeds(last, false).map((deed) => deed.action)).toEqual(["promote", "hold", "rollback"]);
  });
  it("are there for a viewer, disabled, with the reason", () => {
    within_(<RolloutActions rollout={fixtures.rollout} />, "viewer");
    for (const button of screen.getAllByRole("button"))
      expect(button).toHaveProperty("disabled", true);
    expect(screen.getByText(/signed in as viewer/)).toBeTruthy();
  });
});

describe("the dialog that asks for a reason", () => {
  const request: ChangeRequest = {
    title: "Hold?",
    what: "It stops.",
    confirm: "Hold it",
    path: "/rollout/hold",
    revision: 41,
  };
  const answer = (status: number, body: unknown) =>
    vi.fn(
      async (_url: string, _init: RequestInit) => new Response(JSON.stringify(body), { status }),
    );

  it("sends the reason, the revision seen and one key", async () => {
    const fetch = answer(200, { message: "Held." });
    vi.stubGlobal("fetch", fetch);
    const close = vi.fn();
    within_(<ChangeDialog request={request} onClose={close} />);
    const confirm = screen.getByRole("button", { name: "Hold it" });
    expect(confirm).toHaveProperty("disabled", true);
    fireEvent.change(screen.getByRole("textbox"), { target: { value: "  too early " } });
    fireEvent.click(confirm);
    await waitFor(() => expect(close).toHaveBeenCalled());
    const [url, init] = fetch.mock.calls[0]!;
    expect(url).toBe("/api/v1/rollout/hold");
    expect(JSON.parse(String(init.body))).toEqual({ reason: "too early", revision: 41 });
    expect((init.headers as Record<string, string>)["Idempotency-Key"]).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("sends the version that was seen of what is no rollout", async () => {
    const fetch = answer(200, { message: "Off." });
    vi.stubGlobal("fetch", fetch);
    const { revision: _, ...other } = { ...request, path: "/sensors/hourly/stop", seen: "on" };
    within_(<ChangeDialog request={other} onClose={vi.fn()} />);
    fireEvent.change(screen.getByRole("textbox"), { target: { value: "too loud" } });
    fireEvent.click(screen.getByRole("button", { name: "Hold it" }));
    await waitFor(() => expect(fetch).toHaveBeenCalled());
    const [, init] = fetch.mock.calls[0]!;
    expect(JSON.parse(String(init.body))).toEqual({ reason: "too loud", seen: "on" });
  });

  it("says when somebody was faster, and does not send again", async () => {
    vi.stubGlobal(
      "fetch",
      answer(409, { type: "about:blank", title: "Conflict", status: 409, detail: "Now at 42." }),
    );
    within_(<ChangeDialog request={request} onClose={vi.fn()} />);
    fireEvent.change(screen.getByRole("textbox"), { target: { value: "too early" } });
    fireEvent.click(screen.getByRole("button", { name: "Hold it" }));
    const alert = await screen.findByRole("alert");
    expect(alert.textContent).toContain("It changed meanwhile, look again");
    expect(alert.textContent).toContain("Now at 42.");
    expect(screen.getByRole("button", { name: "Hold it" })).toHaveProperty("disabled", true);
  });
});

describe("launching a job", () => {
  it("asks for a partition only where the job takes one, by its kind", () => {
    within_(<Launch jobs={automation.jobs} />);
    expect(screen.queryByRole("textbox")).toBeNull();
    const choose = (value: string) =>
      fireEvent.change(screen.getByRole("combobox"), { target: { value } });
    choose("monitor_hour");
    const hour = screen.getByRole("textbox", { name: "Hour, in UTC" });
    expect(hour.getAttribute("placeholder")).toMatch(/^\d{4}-\d\d-\d\d-\d\d:00$/);
    choose("score_folder");
    expect(screen.getByRole("textbox", { name: /Folder/ })).toBeTruthy();
  });
});
