import type { ComponentProps } from "react";
import { Icon, type IconName } from "./icon";
import css from "./kit.module.css";

interface ButtonProps extends ComponentProps<"button"> {
  readonly kind?: "plain" | "primary";
}

export function Button({ kind = "plain", className, ...props }: ButtonProps) {
  const classes = [css.button, kind === "primary" ? css.primary : "", className ?? ""];
  return <button type="button" {...props} className={classes.join(" ")} />;
}

interface IconButtonProps extends Omit<ComponentProps<"button">, "children"> {
  readonly icon: IconName;
  /** What the button does, for screen readers and as a tooltip. */
  readonly label: string;
}

export function IconButton({ icon, label, className, ...props }: IconButtonProps) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      {...props}
      className={`${css.icon} ${className ?? ""}`}
    >
      <Icon name={icon} />
    </button>
  );
}
