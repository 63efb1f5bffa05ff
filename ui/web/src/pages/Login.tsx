import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useRouter, useSearch } from "@tanstack/react-router";
import { type FormEvent, useEffect, useState } from "react";
import { post, setCsrf } from "../api/client";
import { meQuery, waysInQuery } from "../api/queries";
import type { Me } from "../api/types";
import { Mark } from "../app/icons";
import { Failure } from "../ui/States";
import "./login.css";

export default function Login() {
  const client = useQueryClient();
  const router = useRouter();
  const { next } = useSearch({ from: "/login" });
  const ways = useQuery(waysInQuery).data;
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  useEffect(() => {
    document.title = "Sign in, console";
  }, []);
  const enter = useMutation({
    mutationFn: () => post<Me>("/login", { name, password }),
    onSuccess: (me) => {
      setCsrf(me.csrf);
      client.clear();
      client.setQueryData(meQuery.queryKey, me);
      router.history.replace(next ?? "/");
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    enter.mutate();
  };
  return (
    <main className="login">
      <form onSubmit={submit}>
        <Mark size={34} />
        <h1>Sign in to the console</h1>
        {ways?.single_sign_on ? (
          <a className="btn pri" href="/oidc/begin">
            Sign in with your organisation
          </a>
        ) : null}
        {ways?.passwords === false ? null : (
          <>
            <Field name="Name" fills="username" value={name} onChange={setName} />
            <Field
              name="Password"
              type="password"
              fills="current-password"
              value={password}
              onChange={setPassword}
            />
            {enter.error ? <Failure error={enter.error} what="" /> : null}
            <button className="btn pri" type="submit" disabled={enter.isPending}>
              {enter.isPending ? "Signing in…" : "Sign in"}
            </button>
            <p className="note">
              Names and passwords are set where the console's server is configured.
            </p>
          </>
        )}
      </form>
    </main>
  );
}

interface FieldProps {
  name: string;
  /** What a password manager puts in. */
  fills: string;
  type?: "text" | "password";
  value: string;
  onChange: (value: string) => void;
}

function Field({ name, fills, type = "text", value, onChange }: FieldProps) {
  return (
    <label className="field">
      <span>{name}</span>
      <input
        className="in"
        type={type}
        autoComplete={fills}
        required
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
    </label>
  );
}
