import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { fileUrl } from "../../../api/files";
import { isMissing } from "../../../api/http";
import type { TableValue } from "../../../api/media";
import { TABLE_BYTES, tableQuery } from "../../../api/queries";
import { Icon } from "../../../kit/icon";
import kit from "../../../kit/kit.module.css";
import { Failure, Notice, Skeleton } from "../../../kit/notice";
import { formatBytes } from "../../../model/format";
import css from "../media.module.css";
import { MissingFile } from "../media-content";
import type { MediaRun } from "../media-panel";
import { TableView } from "./table-view";
import { useLocalView, useUrlView } from "./view-state";

interface TableFileProps {
  readonly of: MediaRun;
  readonly metric: string;
  readonly table: TableValue;
  readonly full: boolean;
}

/** A logged table: the rows that the run's file has of it. */
export function TableFile({ of, metric, table, full }: TableFileProps) {
  if (table.path === null) {
    return (
      <Notice compact title="In an artifact">
        The rows of this table are in an artifact of the run; the Artifacts tab has it.
      </Notice>
    );
  }
  const url = fileUrl(of.path, table.path);
  if (table.sizeBytes !== null && table.sizeBytes > TABLE_BYTES) {
    return <TooLarge url={url} sizeBytes={table.sizeBytes} />;
  }
  // an address has one table at most
  const Shown = full ? FullTable : PanelTable;
  return <Shown of={of} metric={metric} table={table} url={url} />;
}

interface ShownProps extends Omit<TableFileProps, "full"> {
  readonly url: string;
}

function FullTable(props: ShownProps) {
  return <LoadedTable {...props} view={useUrlView()} />;
}

function PanelTable(props: ShownProps) {
  return <LoadedTable {...props} view={useLocalView()} />;
}

interface LoadedTableProps extends ShownProps {
  readonly view: ReturnType<typeof useLocalView>;
}

function LoadedTable({ of, metric, table, url, view }: LoadedTableProps) {
  const loaded = useQuery({ ...tableQuery(url, of.live), placeholderData: keepPreviousData });
  if (loaded.data === null) return <TooLarge url={url} sizeBytes={table.sizeBytes} />;
  if (loaded.data !== undefined) {
    return <TableView data={loaded.data} value={table} metric={metric} url={url} view={view} />;
  }
  const retry = () => void loaded.refetch();
  if (isMissing(loaded.error)) return <MissingFile live={of.live} onRetry={retry} />;
  if (loaded.error !== null) {
    return <Failure compact title="The table could not be shown" error={loaded.error} onRetry={retry} />;
  }
  return (
    <div className={css.skeleton}>
      <Skeleton height="100%" />
    </div>
  );
}

function TooLarge({ url, sizeBytes }: { readonly url: string; readonly sizeBytes: number | null }) {
  return (
    <Notice
      compact
      title="Too large to show"
      actions={
        <a className={kit.button} href={`${url}?download=1`} download>
          <Icon name="download" /> Download
        </a>
      }
    >
      The file has {sizeBytes === null ? `more than ${formatBytes(TABLE_BYTES)}` : formatBytes(sizeBytes)}; up
      to {formatBytes(TABLE_BYTES)} are shown.
    </Notice>
  );
}
