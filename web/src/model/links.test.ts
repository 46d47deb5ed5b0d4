import { expect, it } from "vitest";
import { safeLink } from "./links";

it("links to pages and mail only", () => {
  for (const address of ["https://example.org/a?b", "http://127.0.0.1:1/x", "mailto:a@b"]) {
    expect(safeLink(address)).toBe(address);
  }
  const others = [
    "javascript:alert(1)",
    " JavaScript:alert(1)",
    "data:text/html,x",
    "s3://bucket/key",
    "/path",
    "",
    "file:///etc",
  ];
  for (const address of others) expect(safeLink(address), address).toBeNull();
});
