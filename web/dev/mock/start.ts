/** Starts the mock server for `npm run dev`: live runs really go on. */

import { MockServer } from "./server";

export async function startMock(port: number): Promise<void> {
  const server = new MockServer();
  const url = await server.start(port);
  const live = server.world.flatMap((project) => project.runs).filter((run) => run.state === "running");
  setInterval(() => {
    for (const run of live)
      server.advance(run, 2, [`  step ${run.steps}  loss ${(1 / run.steps).toFixed(5)}`]);
  }, 500);
  setInterval(() => {
    for (const run of live) server.sample(run);
  }, 5000);
  process.stdout.write(`mock server on ${url}\nRUNLANE_URL=${url} npm run dev\n`);
}
