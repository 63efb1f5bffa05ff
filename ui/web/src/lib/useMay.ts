import { useQuery } from "@tanstack/react-query";
import { meQuery } from "../api/queries";
import type { Me } from "../api/types";

const RANKS: Record<Me["role"], number> = { viewer: 0, operator: 1, admin: 2 };

/** Why the person may not do what `role` may; undefined where they may. */
export function useMayNot(role: "operator" | "admin" = "operator"): string | undefined {
  const { data: me } = useQuery(meQuery);
  if (!me || RANKS[me.role] >= RANKS[role]) return undefined;
  return `You are signed in as ${me.role}. It takes an ${role} to change this.`;
}
