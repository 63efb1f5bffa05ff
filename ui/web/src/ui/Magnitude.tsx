import { magnitude } from "../lib/format";

/** A number that may be a power of ten. */
export function Magnitude({ value }: { value: number | null }) {
  const { text, power } = magnitude(value);
  return (
    <>
      {text}
      {power === undefined ? null : <sup>{power}</sup>}
    </>
  );
}
