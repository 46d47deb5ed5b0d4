import { Link } from "@tanstack/react-router";
import kit from "../../kit/kit.module.css";
import { Notice } from "../../kit/notice";

export function NotFoundPage() {
  return (
    <Notice
      title="Nothing at this address"
      actions={
        <Link to="/" className={kit.button}>
          Home
        </Link>
      }
    >
      The page, project or run does not exist, was deleted, or is not visible to you.
    </Notice>
  );
}
