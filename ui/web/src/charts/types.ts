import type { Traffic } from "../api/types";

export type TrafficPoint = Traffic["points"][number];
