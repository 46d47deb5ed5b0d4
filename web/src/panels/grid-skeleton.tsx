import { Skeleton } from "../kit/notice";
import css from "./grid.module.css";

/** Frames of panels whose names are not known yet. */
export function GridSkeleton() {
  return (
    <div className={css.panels} aria-hidden="true">
      {["a", "b", "c", "d", "e", "f"].map((name) => (
        <div key={name} className={css.panel}>
          <div className={css.skeleton}>
            <Skeleton width="40%" />
            <Skeleton height="100%" />
          </div>
        </div>
      ))}
    </div>
  );
}
