import { runnerImport } from "vite";

const { module } = await runnerImport("./dev/screenshots.ts");
await module.takeScreenshots(process.argv.slice(2));
