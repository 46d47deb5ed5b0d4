import { describe, expect, it } from "vitest";
import { languageOf } from "./highlighted";
import { scriptOf } from "./reproduce";

describe("the commands of a run", () => {
  it("are one script when they are copied together", () => {
    const steps = [
      { title: "Code", commands: ["git clone x", "cd x"] },
      { title: "Run", commands: ["python train.py"] },
    ];
    expect(scriptOf({ repository: null, gitState: null, notes: [], steps })).toBe(
      "# Code\ngit clone x\ncd x\n\n# Run\npython train.py",
    );
  });
});

describe("the language of a file", () => {
  it("follows from its name", () => {
    const names = ["code/a.py", "diff.patch", "Dockerfile.gpu", "x/uv.lock", "notes.txt", "A.JSON"];
    expect(names.map(languageOf)).toEqual(["python", "diff", "dockerfile", "ini", null, "json"]);
  });
});
