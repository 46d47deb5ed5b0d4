import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** The server that `npm run dev` sends API requests to; `npm run mock` prints one. */
const target = process.env.RUNLANE_URL ?? "http://127.0.0.1:8080";
const proxied = ["/graphql", "/api", "/storage", "/healthz", "/ready"];

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    sourcemap: false,
    assetsInlineLimit: 0,
    // React, router, query cache and uPlot are about 450 kB of this; pages beyond the first ones are chunks of their own
    chunkSizeWarningLimit: 600,
    modulePreload: { polyfill: false },
  },
  server: {
    host: "127.0.0.1",
    proxy: Object.fromEntries(proxied.map((path) => [path, { target, changeOrigin: true }])),
  },
});
