//! A chunk as a Parquet file that any tool can read.
//!
//! One nullable column for each dotted key, in the order of first appearance, one row for each
//! history line; null means that the row lacks the key. The type is that of most cells:
//!
//! | cells | Parquet type | field metadata `runlane.kind` |
//! |---|---|---|
//! | integers only (`_step`) | INT64, delta encoded | `int` |
//! | floats, or floats and integers | DOUBLE | `float` |
//! | booleans | BOOLEAN | `bool` |
//! | strings | UTF8 | `text` |
//! | lists, empty objects, media objects (`_type`) | UTF8 with their JSON | `json` |
//!
//! In a DOUBLE column `runlane.whole` says what a whole number was: `int` (1 was logged) or `float`
//! (1.0 was). `runlane.path` is the key path as a JSON list where the column's name does not tell it.
//!
//! What a column's type cannot hold exactly stands, by row, in the last column `_runlane_exact`
//! (kind `exact`, absent if nothing needs it): extended JSON `{column: value}`. So an explicit null
//! differs from a missing key, 2^53+1 among floats stays exact, and a string among numbers is kept.
//! Tools that ignore that column see the nearest number, or null.
//!
//! File metadata: `runlane.format` = `1`, `runlane.first_line`, `runlane.rows`. Compression is
//! zstd; there is one row group, with statistics for each page.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::ChunkReader;
use parquet::schema::types::ColumnPath;
use runlane_model::json::{Object, Value, parse, parse_object, write_value};
use runlane_model::key_path::KeyPath;

use crate::chunk::Chunk;
use crate::column::{Cells, Column, Whole};
use crate::error::HistoryError;

const FORMAT: &str = "1";
const FORMAT_KEY: &str = "runlane.format";
const FIRST_LINE_KEY: &str = "runlane.first_line";
const ROWS_KEY: &str = "runlane.rows";
const KIND: &str = "runlane.kind";
const WHOLE: &str = "runlane.whole";
const PATH: &str = "runlane.path";
const EXACT: &str = "exact";
const EXACT_COLUMN: &str = "_runlane_exact";
const ZSTD_LEVEL: i32 = 3;

impl Chunk {
    /// Encodes the chunk; layout in the module `parquet_file`. CPU work, a few MiB each 10 ms.
    pub fn to_parquet(&self) -> Result<Bytes, HistoryError> {
        let mut fields = Vec::with_capacity(self.columns.len() + 1);
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len() + 1);
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_max_row_group_row_count(Some(self.rows.max(1)))
            .set_key_value_metadata(Some(vec![
                KeyValue::new(FORMAT_KEY.to_owned(), FORMAT.to_owned()),
                KeyValue::new(FIRST_LINE_KEY.to_owned(), self.first_line.to_string()),
                KeyValue::new(ROWS_KEY.to_owned(), self.rows.to_string()),
            ]));
        for column in &self.columns {
            fields.push(field_of(column));
            arrays.push(column.cells.array());
            let path = ColumnPath::new(vec![column.name.clone()]);
            match column.cells {
                Cells::Ints(_) => {
                    properties = properties
                        .set_column_dictionary_enabled(path.clone(), false)
                        .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
                }
                Cells::Floats(..) => {
                    properties = properties.set_column_dictionary_enabled(path, false);
                }
                Cells::Bools(_) | Cells::Texts(_) | Cells::Json(_) => {}
            }
        }
        let exact = exact_texts(self);
        // A file needs a column, if only to count its rows.
        if exact.iter().any(Option::is_some) || self.columns.is_empty() {
            let mut name = EXACT_COLUMN.to_owned();
            while self.column(&name).is_some() {
                name.push('_');
            }
            fields.push(
                Field::new(name, DataType::Utf8, true)
                    .with_metadata(HashMap::from([(KIND.to_owned(), EXACT.to_owned())])),
            );
            arrays.push(Arc::new(StringArray::from(exact)));
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
        let mut writer =
            ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build()))?;
        writer.write(&batch)?;
        Ok(writer.into_inner()?.into())
    }

    /// Decodes a chunk, or only the columns of some keys: those named, and those below them
    /// (`train` includes `train.loss`). The number of rows is that of the whole chunk.
    ///
    /// # Errors
    ///
    /// `Parquet` or `Damaged` if the bytes are not what [`Chunk::to_parquet`] wrote.
    pub fn from_parquet(bytes: Bytes, keys: Option<&[&str]>) -> Result<Self, HistoryError> {
        decode(ParquetRecordBatchReaderBuilder::try_new(bytes)?, keys)
    }
}

/// Decodes the columns of `keys`, or all.
pub(crate) fn decode<R: ChunkReader + 'static>(
    builder: ParquetRecordBatchReaderBuilder<R>,
    keys: Option<&[&str]>,
) -> Result<Chunk, HistoryError> {
    let file = builder.metadata().file_metadata();
    let pairs = file.key_value_metadata().map_or(&[][..], Vec::as_slice);
    let lookup = |key: &str| {
        let pair = pairs.iter().find(|pair| pair.key == key);
        pair.and_then(|pair| pair.value.as_deref())
            .ok_or_else(|| HistoryError::damaged(format!("no `{key}` in its metadata")))
    };
    match lookup(FORMAT_KEY)? {
        FORMAT => {}
        other => return Err(HistoryError::damaged(format!("unknown format `{other}`"))),
    }
    let number = |key: &str| {
        lookup(key)?
            .parse::<u64>()
            .map_err(|error| HistoryError::damaged(format!("`{key}`: {error}")))
    };
    let first_line = number(FIRST_LINE_KEY)?;
    let rows = usize::try_from(number(ROWS_KEY)?).unwrap_or(usize::MAX);
    if u64::try_from(file.num_rows()).ok() != u64::try_from(rows).ok()
        || u32::try_from(rows).is_err()
    {
        return Err(HistoryError::damaged("row counts differ"));
    }

    let schema = Arc::clone(builder.schema());
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted_columns(&schema, keys));
    let mut reader = builder
        .with_projection(mask)
        .with_batch_size(rows.max(1))
        .build()?;
    let Some(batch) = reader.next().transpose()? else {
        return Ok(Chunk::from_columns(first_line, 0, Vec::new()));
    };
    if batch.num_rows() != rows {
        return Err(HistoryError::damaged("more than one row group"));
    }
    let columns = columns_of(&batch, &schema)?;
    Ok(Chunk::from_columns(first_line, rows, columns))
}

/// The places of the columns that are needed for `keys`, or for everything.
pub(crate) fn wanted_columns(schema: &Schema, keys: Option<&[&str]>) -> Vec<usize> {
    (0..schema.fields().len())
        .filter(|&index| {
            let field = schema.field(index);
            kind(field) == Some(EXACT)
                || keys.is_none_or(|keys| keys.iter().any(|key| selects(key, field.name())))
        })
        .collect()
}

/// Whether `key` is the column's key or an object above it.
fn selects(key: &str, name: &str) -> bool {
    name.strip_prefix(key)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn kind(field: &Field) -> Option<&str> {
    field.metadata().get(KIND).map(String::as_str)
}

fn field_of(column: &Column) -> Field {
    let (data_type, kind) = match &column.cells {
        Cells::Ints(_) => (DataType::Int64, "int"),
        Cells::Floats(..) => (DataType::Float64, "float"),
        Cells::Bools(_) => (DataType::Boolean, "bool"),
        Cells::Texts(_) => (DataType::Utf8, "text"),
        Cells::Json(_) => (DataType::Utf8, "json"),
    };
    let mut metadata = HashMap::from([(KIND.to_owned(), kind.to_owned())]);
    if let Cells::Floats(_, whole) = column.cells {
        let whole = if whole == Whole::Int { "int" } else { "float" };
        metadata.insert(WHOLE.to_owned(), whole.to_owned());
    }
    if KeyPath::from_dotted(&column.name) != column.path {
        let components = column
            .path
            .components()
            .iter()
            .map(|text| Value::from(text.as_str()));
        metadata.insert(
            PATH.to_owned(),
            Value::List(components.collect()).to_string(),
        );
    }
    Field::new(&column.name, data_type, true).with_metadata(metadata)
}

/// The exceptions of all columns, by row.
fn exact_texts(chunk: &Chunk) -> Vec<Option<String>> {
    let mut rows: Vec<Option<Object>> = vec![None; chunk.rows];
    for column in &chunk.columns {
        for (row, value) in &column.exceptions {
            let row = rows[*row as usize].get_or_insert_with(Object::new);
            row.insert(column.name.clone(), value.clone());
        }
    }
    rows.into_iter()
        .map(|row| {
            let mut text = String::new();
            write_value(&mut text, &Value::Object(row?));
            Some(text)
        })
        .collect()
}

fn columns_of(batch: &RecordBatch, schema: &Schema) -> Result<Vec<Column>, HistoryError> {
    let mut columns = Vec::new();
    let mut exact = None;
    for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        // The schema of the file has the metadata whatever the projection made of it.
        let field = schema.field_with_name(field.name())?;
        if kind(field) == Some(EXACT) {
            exact = Some(typed::<StringArray>(array, field)?);
        } else {
            columns.push(column_of(field, array)?);
        }
    }
    let Some(exact) = exact else {
        return Ok(columns);
    };
    let places: HashMap<String, usize> = columns
        .iter()
        .map(|column| column.name.clone())
        .zip(0..)
        .collect();
    for (row, text) in (0u32..).zip(&exact) {
        let Some(text) = text else { continue };
        let values = parse_object(text).map_err(|error| {
            HistoryError::damaged(format!("exact values of row {row}: {error}"))
        })?;
        for (name, value) in values {
            if let Some(&place) = places.get(&name) {
                columns[place].exceptions.push((row, value));
            }
        }
    }
    Ok(columns)
}

fn column_of(field: &Field, array: &ArrayRef) -> Result<Column, HistoryError> {
    let cells = match kind(field) {
        Some("int") => Cells::Ints(typed(array, field)?),
        Some("float") => {
            let whole = match field.metadata().get(WHOLE).map(String::as_str) {
                Some("int") => Whole::Int,
                _ => Whole::Float,
            };
            Cells::Floats(typed(array, field)?, whole)
        }
        Some("bool") => Cells::Bools(typed(array, field)?),
        Some("text") => Cells::Texts(typed(array, field)?),
        Some("json") => Cells::Json(typed(array, field)?),
        _ => {
            return Err(HistoryError::damaged(format!(
                "unknown kind of `{}`",
                field.name()
            )));
        }
    };
    let path = match field.metadata().get(PATH) {
        None => KeyPath::from_dotted(field.name()),
        Some(text) => path_of(text)
            .ok_or_else(|| HistoryError::damaged(format!("path of `{}`", field.name())))?,
    };
    Ok(Column {
        path,
        name: field.name().clone(),
        cells,
        exceptions: Vec::new(),
    })
}

fn path_of(text: &str) -> Option<KeyPath> {
    let Ok(Value::List(components)) = parse(text) else {
        return None;
    };
    let components = components
        .iter()
        .map(|component| component.as_str().map(str::to_owned));
    KeyPath::nested(components.collect::<Option<_>>()?)
}

fn typed<A: Array + Clone + 'static>(array: &ArrayRef, field: &Field) -> Result<A, HistoryError> {
    array
        .as_any()
        .downcast_ref::<A>()
        .cloned()
        .ok_or_else(|| HistoryError::damaged(format!("type of `{}`", field.name())))
}
