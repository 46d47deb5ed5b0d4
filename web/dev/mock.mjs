import { runnerImport } from "vite";

const { module } = await runnerImport("./dev/mock/start.ts");
await module.startMock(Number(process.env.PORT ?? 0));
