(() => {
  let saved = null;
  try {
    saved = localStorage.getItem("theme");
  } catch {
    // Storage may be forbidden; the system's preference is used then.
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme =
    saved === "dark" || saved === "light" ? saved : dark ? "dark" : "light";
})();
