import { Dialog } from "@base-ui/react/dialog";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { ApiError, newKey, post } from "../api/client";
import { Failure } from "./States";
import { toast } from "./toasts";

export interface ChangeRequest {
  title: string;
  /** What will happen, in full sentences. */
  what: ReactNode;
  confirm: string;
  danger?: boolean;
  path: string;
  /** The revision of the state that the person saw. */
  revision?: number;
  /** The version of what is changed that the person saw, where it is not the state of serving. */
  seen?: string;
  body?: Record<string, unknown>;
  fields?: ReactNode;
  /** What to say afterwards, where the answer has no message of its own. */
  done?: string;
  onDone?: (answer: unknown) => void;
}

interface Props {
  request: ChangeRequest;
  onClose: () => void;
}

/** Asks for a reason, says what will happen, and sends the change once. */
export function ChangeDialog({ request, onClose }: Props) {
  const client = useQueryClient();
  const [key] = useState(newKey);
  const [reason, setReason] = useState("");
  const change = useMutation({
    mutationFn: () =>
      post<{ message?: string } | undefined>(
        request.path,
        {
          ...request.body,
          reason: reason.trim(),
          ...(request.revision === undefined ? {} : { revision: request.revision }),
          ...(request.seen === undefined ? {} : { seen: request.seen }),
        },
        key,
      ),
    onSuccess: (answer) => {
      toast(answer?.message ?? request.done ?? "Done.");
      request.onDone?.(answer);
      onClose();
    },
    onSettled: () => client.invalidateQueries(),
  });
  const conflict = change.error instanceof ApiError && change.error.status === 409;
  const ready = reason.trim().length >= 3 && !change.isPending && !conflict;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (ready) change.mutate();
  };
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="backdrop" />
        <Dialog.Popup className="dialog">
          <form className="dialog-form" onSubmit={submit}>
            <Dialog.Title>{request.title}</Dialog.Title>
            <Dialog.Description className="mut" render={<div />}>
              {request.what}
              {request.revision === undefined ? null : (
                <p className="note">
                  You see revision {request.revision}. If somebody changes it first, nothing is
                  done.
                </p>
              )}
            </Dialog.Description>
            {request.fields}
            <label className="field">
              <span>Reason, kept in the audit log</span>
              <textarea
                className="in"
                rows={2}
                minLength={3}
                maxLength={500}
                required
                value={reason}
                onChange={(event) => setReason(event.target.value)}
              />
            </label>
            {change.error ? <Failure error={change.error} what="" /> : null}
            <div className="buttons">
              <Dialog.Close className="btn" type="button">
                {conflict ? "Close and look again" : "Cancel"}
              </Dialog.Close>
              <button
                className={`btn ${request.danger ? "danger" : "pri"}`}
                type="submit"
                disabled={!ready}
              >
                {change.isPending ? "Sending…" : request.confirm}
              </button>
            </div>
          </form>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
