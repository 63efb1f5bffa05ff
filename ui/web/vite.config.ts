import { readFileSync } from "node:fs";
import react from "@vitejs/plugin-react";
import { defineConfig, type HtmlTagDescriptor, type Plugin } from "vite";
import { fixtureApi } from "./dev/plugin.ts";

const POLICY =
  "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; connect-src 'self'";

/** Puts the theme script, hashed, before everything else: it has to run before the first paint. */
function themeScript(): Plugin {
  const source = readFileSync(new URL("./src/theme-boot.js", import.meta.url), "utf8");
  let src = "/src/theme-boot.js";
  const tag = (): HtmlTagDescriptor => ({
    tag: "script",
    attrs: { src },
    injectTo: "head-prepend",
  });
  return {
    name: "theme-script",
    generateBundle() {
      const id = this.emitFile({ type: "asset", name: "theme.js", source });
      src = `/${this.getFileName(id)}`;
    },
    transformIndexHtml: { order: "post", handler: () => [tag()] },
  };
}

const backend = process.env.CONSOLE_API;

export default defineConfig({
  base: "/",
  plugins: [react(), themeScript(), ...(backend ? [] : [fixtureApi()])],
  build: {
    outDir: "../server/static",
    emptyOutDir: true,
    manifest: true,
    // Fonts as data addresses would be refused by the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 600,
  },
  server: backend ? { proxy: { "/api": { target: backend, changeOrigin: true } } } : {},
  preview: {
    headers: { "Content-Security-Policy": POLICY },
    ...(backend ? { proxy: { "/api": { target: backend, changeOrigin: true } } } : {}),
  },
});
