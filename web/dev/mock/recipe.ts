/** The commands that make a run's code again, as the server gives them. */

import type { MockRun } from "./world";

export function recipeOf(run: MockRun, url: URL): unknown {
  const base = "4067175e073f7cf28bd84638d2dca94731f4dfde";
  const path = url.pathname.replace(/reproduce$/, "files");
  const fetch = `curl -fsS -u "api:$WANDB_API_KEY" ${url.origin}${path}`;
  if (run.files.size === 0) {
    return {
      repository: null,
      gitState: null,
      steps: [],
      notes: ["The run saved no code: `init(save_code=True)` does."],
    };
  }
  return {
    repository: "https://example.org/ada/digits.git",
    gitState: `git checkout -b "${run.name}" ${base}`,
    steps: [
      {
        title: "Code",
        commands: [
          "git clone https://example.org/ada/digits.git digits",
          "cd digits",
          `git checkout -b "${run.name}" ${base}`,
          `${fetch}/diff.patch | git apply --whitespace=nowarn`,
        ],
      },
      {
        title: "Environment",
        commands: [
          "python3.12 -m venv ../digits-env",
          ". ../digits-env/bin/activate",
          `${fetch}/requirements.txt | pip install -r /dev/stdin`,
        ],
      },
      { title: "Run", commands: ["python train.py --lr 0.1"] },
    ],
    notes: ["Untracked files that were not saved: data.bin (size)."],
  };
}
