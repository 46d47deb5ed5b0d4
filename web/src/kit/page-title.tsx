/** Title of the browser's tab: the nearest thing first, so that narrow tabs stay apart. */
export function PageTitle({ of }: { readonly of?: string }) {
  return <title>{of === undefined ? "runlane" : `${of} · runlane`}</title>;
}
