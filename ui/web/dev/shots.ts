import { random } from "./random";

export const CLASSES = ["scratch", "pit", "crack", "stain", "roll", "clean"];

/** Image ids tell what to draw: `<kind><d|r><seed>`, padded to a hash's length. */
export function shotId(kind: string, seed: number, drifted: boolean): string {
  const k = CLASSES.indexOf(kind).toString(16);
  return `${k}${drifted ? "d" : "a"}${seed.toString(16).padStart(6, "0")}`.padEnd(64, "0");
}

export function shotSvg(id: string): string | null {
  const kind = CLASSES[Number.parseInt(id[0] ?? "", 16)];
  const seed = Number.parseInt(id.slice(2, 8), 16);
  if (!kind || !Number.isFinite(seed) || seed % 37 === 5) return null;
  return shot(seed, kind, id[1] === "d");
}

function shot(seed: number, kind: string, drift: boolean): string {
  const R = random(seed * 97 + 3);
  const dark = drift ? "#7d7260" : "#14181b";
  const lite = drift ? "#fffaf0" : "#c9d1d6";
  const matrix = drift
    ? ".36 0 0 0 .60  .36 0 0 0 .57  .36 0 0 0 .50  0 0 0 0 1"
    : ".50 0 0 0 .22  .50 0 0 0 .24  .50 0 0 0 .26  0 0 0 0 1";
  let d = `<filter id="n" x="0" y="0" width="100%" height="100%" color-interpolation-filters="sRGB"><feTurbulence type="fractalNoise" baseFrequency=".015 .42" numOctaves="3" seed="${seed % 997}"/><feColorMatrix type="matrix" values="${matrix}"/></filter><rect width="64" height="64" filter="url(#n)"/>`;
  if (kind === "scratch")
    for (let i = 0; i < 3; i++) {
      const x = 12 + R() * 16;
      const y = 14 + R() * 30;
      d += `<path d="M${x} ${y}q${14 + R() * 10} ${-4 + R() * 6} ${28 + R() * 8} ${R() * 10 - 4}" stroke="${i ? lite : dark}" stroke-width="${i ? 0.8 : 1.5}" fill="none" opacity=".9"/>`;
    }
  if (kind === "pit")
    for (let i = 0; i < 9; i++)
      d += `<ellipse cx="${18 + R() * 30}" cy="${16 + R() * 32}" rx="${1 + R() * 2.6}" ry="${1 + R() * 2}" fill="${dark}" opacity=".85"/>`;
  if (kind === "crack") {
    let x = 10;
    let y = 20 + R() * 20;
    let p = `M${x} ${y}`;
    for (let i = 0; i < 9; i++) {
      x += 3 + R() * 4;
      y += R() * 12 - 6;
      p += `L${x} ${y}`;
    }
    d += `<path d="${p}" stroke="${dark}" stroke-width="1.6" fill="none"/>`;
  }
  if (kind === "stain")
    d += `<filter id="b"><feGaussianBlur stdDeviation="2.6"/></filter><ellipse cx="34" cy="32" rx="15" ry="10" fill="${dark}" opacity=".62" filter="url(#b)"/><ellipse cx="26" cy="38" rx="8" ry="6" fill="${dark}" opacity=".5" filter="url(#b)"/>`;
  if (kind === "roll")
    for (let i = 0; i < 4; i++)
      d += `<path d="M${14 + i * 10 + R() * 3} 8V${50 + R() * 8}" stroke="${dark}" stroke-width="${1 + R() * 1.8}" opacity=".65"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="256" height="256">${d}</svg>`;
}
