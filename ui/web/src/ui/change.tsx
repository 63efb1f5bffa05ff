import { createContext, lazy, type ReactNode, Suspense, useContext, useState } from "react";
import type { ChangeRequest } from "./ChangeDialog";

const ChangeDialog = lazy(() =>
  import("./ChangeDialog").then((m) => ({ default: m.ChangeDialog })),
);
const Ask = createContext<(request: ChangeRequest) => void>(() => undefined);

/** Opens the dialog that asks for a reason; it is loaded when it is first needed. */
export function useChange() {
  return useContext(Ask);
}

export function ChangeProvider({ children }: { children: ReactNode }) {
  const [request, setRequest] = useState<ChangeRequest | null>(null);
  return (
    <Ask.Provider value={setRequest}>
      {children}
      {request ? (
        <Suspense fallback={null}>
          <ChangeDialog request={request} onClose={() => setRequest(null)} />
        </Suspense>
      ) : null}
    </Ask.Provider>
  );
}
