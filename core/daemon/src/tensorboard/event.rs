//! The protobuf messages of an event file, decoded by hand: only what is mirrored, with the public field numbers of
//! TensorFlow's `event.proto`, `summary.proto`, `histogram.proto` and `tensor.proto`.

use crate::wire::{Field, Fields, WireError};

/// One `Event` with the values of its summary.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Event<'a> {
    /// Unix seconds.
    pub(crate) wall_time: f64,
    pub(crate) step: i64,
    pub(crate) values: Vec<SummaryValue<'a>>,
}

/// One `Summary.Value`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct SummaryValue<'a> {
    pub(crate) tag: &'a str,
    /// `metadata.plugin_data.plugin_name`; empty where there is none: it stands on the first value of a tag only.
    pub(crate) plugin: &'a str,
    pub(crate) content: Content<'a>,
}

/// What a summary value holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Content<'a> {
    Scalar(f32),
    Histogram(Histogram),
    /// Encoded image with the size that is said of it.
    Image(Image<'a>),
    Audio,
    Tensor(Tensor<'a>),
    /// Nothing, or something that is older than all writers.
    #[default]
    Other,
}

/// `HistogramProto`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Histogram {
    pub(crate) min: f64,
    /// Upper edge of each bucket.
    pub(crate) limits: Vec<f64>,
    pub(crate) counts: Vec<f64>,
}

/// `Summary.Image`. Sizes in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Image<'a> {
    pub(crate) height: u32,
    pub(crate) width: u32,
    pub(crate) encoded: &'a [u8],
}

/// `TensorProto`, its numbers as `f64`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tensor<'a> {
    data_type: u64,
    pub(crate) shape: Vec<u64>,
    content: &'a [u8],
    numbers: Vec<f64>,
    pub(crate) strings: Vec<&'a [u8]>,
}

// Numbers of `DataType`.
const FLOAT: u64 = 1;
const DOUBLE: u64 = 2;
const INT32: u64 = 3;
const INT64: u64 = 9;

impl Tensor<'_> {
    /// The elements in row order; `None` if they are not numbers of 32 or 64 bits or not as many as the shape says.
    pub(crate) fn numbers(&self) -> Option<Vec<f64>> {
        let count = self
            .shape
            .iter()
            .try_fold(1_u64, |count, size| count.checked_mul(*size))?;
        let count = usize::try_from(count).ok()?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a float has fewer digits, as in W&B"
        )]
        let numbers: Vec<f64> = match self.data_type {
            FLOAT | DOUBLE | INT32 | INT64 if self.content.is_empty() => self.numbers.clone(),
            FLOAT => words(self.content, |word| f32::from_le_bytes(word).into()),
            DOUBLE => words(self.content, f64::from_le_bytes),
            INT32 => words(self.content, |word| i32::from_le_bytes(word).into()),
            INT64 => words(self.content, |word| i64::from_le_bytes(word) as f64),
            _ => return None,
        };
        (numbers.len() == count && count > 0).then_some(numbers)
    }
}

fn words<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes
        .chunks_exact(N)
        .filter_map(|chunk| chunk.try_into().ok().map(&read))
        .collect()
}

/// Decodes an event. Fails on bytes that are none.
pub(crate) fn decode(bytes: &[u8]) -> Result<Event<'_>, WireError> {
    let mut event = Event::default();
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.next_field()? {
        match field {
            (1, Field::Fixed64(bits)) => event.wall_time = f64::from_bits(bits),
            (2, Field::Varint(step)) => event.step = step.cast_signed(),
            (5, Field::Bytes(summary)) => read_summary(summary, &mut event.values)?,
            _ => {}
        }
    }
    Ok(event)
}

fn read_summary<'a>(bytes: &'a [u8], values: &mut Vec<SummaryValue<'a>>) -> Result<(), WireError> {
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.next_field()? {
        if let (1, Field::Bytes(value)) = field {
            values.push(read_value(value)?);
        }
    }
    Ok(())
}

fn read_value(bytes: &[u8]) -> Result<SummaryValue<'_>, WireError> {
    let mut value = SummaryValue::default();
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.next_field()? {
        match field {
            (1, Field::Bytes(tag)) => value.tag = text(tag)?,
            (2, Field::Fixed32(bits)) => value.content = Content::Scalar(f32::from_bits(bits)),
            (4, Field::Bytes(image)) => value.content = Content::Image(read_image(image)?),
            (5, Field::Bytes(histogram)) => {
                value.content = Content::Histogram(read_histogram(histogram)?);
            }
            (6, Field::Bytes(_)) => value.content = Content::Audio,
            (8, Field::Bytes(tensor)) => value.content = Content::Tensor(read_tensor(tensor)?),
            (9, Field::Bytes(metadata)) => value.plugin = read_plugin(metadata)?,
            _ => {}
        }
    }
    Ok(value)
}

fn read_plugin(metadata: &[u8]) -> Result<&str, WireError> {
    let mut name = "";
    let mut fields = Fields::new(metadata);
    while let Some(field) = fields.next_field()? {
        if let (1, Field::Bytes(data)) = field {
            let mut data = Fields::new(data);
            while let Some(field) = data.next_field()? {
                if let (1, Field::Bytes(plugin)) = field {
                    name = text(plugin)?;
                }
            }
        }
    }
    Ok(name)
}

fn read_image(bytes: &[u8]) -> Result<Image<'_>, WireError> {
    let mut image = Image::default();
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.next_field()? {
        match field {
            (1, Field::Varint(height)) => image.height = u32::try_from(height).unwrap_or(0),
            (2, Field::Varint(width)) => image.width = u32::try_from(width).unwrap_or(0),
            (4, Field::Bytes(encoded)) => image.encoded = encoded,
            _ => {}
        }
    }
    Ok(image)
}

fn read_histogram(bytes: &[u8]) -> Result<Histogram, WireError> {
    let mut histogram = Histogram::default();
    let mut fields = Fields::new(bytes);
    while let Some((number, field)) = fields.next_field()? {
        match number {
            1 => {
                if let Field::Fixed64(bits) = field {
                    histogram.min = f64::from_bits(bits);
                }
            }
            6 => push_doubles(&mut histogram.limits, field),
            7 => push_doubles(&mut histogram.counts, field),
            _ => {}
        }
    }
    Ok(histogram)
}

fn push_doubles(out: &mut Vec<f64>, field: Field<'_>) {
    match field {
        Field::Fixed64(bits) => out.push(f64::from_bits(bits)),
        Field::Bytes(packed) => out.extend(words(packed, f64::from_le_bytes)),
        Field::Varint(_) | Field::Fixed32(_) => {}
    }
}

fn read_tensor(bytes: &[u8]) -> Result<Tensor<'_>, WireError> {
    let mut tensor = Tensor::default();
    let mut fields = Fields::new(bytes);
    while let Some((number, field)) = fields.next_field()? {
        match (number, field) {
            (1, Field::Varint(data_type)) => tensor.data_type = data_type,
            (2, Field::Bytes(shape)) => tensor.shape = read_shape(shape)?,
            (4, Field::Bytes(content)) => tensor.content = content,
            (5, Field::Fixed32(bits)) => tensor.numbers.push(f32::from_bits(bits).into()),
            (5, Field::Bytes(packed)) => {
                let floats = words(packed, |word| f32::from_le_bytes(word).into());
                tensor.numbers.extend(floats);
            }
            (6, field) => push_doubles(&mut tensor.numbers, field),
            (7 | 10, Field::Varint(value)) => tensor.numbers.push(integer(value)),
            (7 | 10, Field::Bytes(packed)) => {
                // A packed list is varints back to back: each is a field of a number without its tag.
                let mut rest = packed;
                while let Some((value, after)) = split_varint(rest)? {
                    tensor.numbers.push(integer(value));
                    rest = after;
                }
            }
            (8, Field::Bytes(string)) => tensor.strings.push(string),
            _ => {}
        }
    }
    Ok(tensor)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a float has fewer digits, as in W&B"
)]
fn integer(value: u64) -> f64 {
    // 32-bit integers are sign-extended to 64 bits on the wire.
    value.cast_signed() as f64
}

fn split_varint(bytes: &[u8]) -> Result<Option<(u64, &[u8])>, WireError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, &bytes[index + 1..])));
        }
    }
    Err(WireError("varint"))
}

fn read_shape(bytes: &[u8]) -> Result<Vec<u64>, WireError> {
    let mut shape = Vec::new();
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.next_field()? {
        if let (2, Field::Bytes(dimension)) = field {
            let mut size = 0;
            let mut dimension = Fields::new(dimension);
            while let Some(field) = dimension.next_field()? {
                if let (1, Field::Varint(value)) = field {
                    size = value;
                }
            }
            shape.push(size);
        }
    }
    Ok(shape)
}

fn text(bytes: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(bytes).map_err(|_invalid| WireError("not UTF-8"))
}

#[cfg(test)]
pub(crate) mod writing {
    //! Events for tests.

    use crate::wire::{put_bytes, put_number, put_varint};

    pub(crate) fn double(out: &mut Vec<u8>, number: u32, value: f64) {
        put_varint(out, u64::from(number << 3 | 1));
        out.extend(value.to_bits().to_le_bytes());
    }

    pub(crate) fn doubles(out: &mut Vec<u8>, number: u32, values: &[f64]) {
        let packed: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_bits().to_le_bytes())
            .collect();
        put_bytes(out, number, &packed);
    }

    pub(crate) fn event(step: i64, wall_time: f64, values: &[Vec<u8>]) -> Vec<u8> {
        let mut summary = Vec::new();
        for value in values {
            put_bytes(&mut summary, 1, value);
        }
        let mut out = Vec::new();
        double(&mut out, 1, wall_time);
        put_number(&mut out, 2, step.cast_unsigned());
        put_bytes(&mut out, 5, &summary);
        out
    }

    pub(crate) fn scalar(tag: &str, value: f32) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes(&mut out, 1, tag.as_bytes());
        put_varint(&mut out, 2 << 3 | 5);
        out.extend(value.to_bits().to_le_bytes());
        out
    }

    pub(crate) fn histogram(tag: &str, min: f64, limits: &[f64], counts: &[f64]) -> Vec<u8> {
        let mut histogram = Vec::new();
        double(&mut histogram, 1, min);
        doubles(&mut histogram, 6, limits);
        doubles(&mut histogram, 7, counts);
        let mut out = Vec::new();
        put_bytes(&mut out, 1, tag.as_bytes());
        put_bytes(&mut out, 5, &histogram);
        out
    }

    pub(crate) fn image(tag: &str, width: u64, height: u64, encoded: &[u8]) -> Vec<u8> {
        let mut image = Vec::new();
        put_number(&mut image, 1, height);
        put_number(&mut image, 2, width);
        put_bytes(&mut image, 4, encoded);
        let mut out = Vec::new();
        put_bytes(&mut out, 1, tag.as_bytes());
        put_bytes(&mut out, 4, &image);
        out
    }

    /// A value in tensor form; `fields` are the tensor's, without its shape.
    pub(crate) fn tensor(tag: &str, plugin: &str, shape: &[u64], fields: &[u8]) -> Vec<u8> {
        let mut dimensions = Vec::new();
        for size in shape {
            let mut dimension = Vec::new();
            put_number(&mut dimension, 1, *size);
            put_bytes(&mut dimensions, 2, &dimension);
        }
        let mut tensor = fields.to_vec();
        put_bytes(&mut tensor, 2, &dimensions);
        let (mut data, mut metadata, mut out) = (Vec::new(), Vec::new(), Vec::new());
        put_bytes(&mut data, 1, plugin.as_bytes());
        put_bytes(&mut metadata, 1, &data);
        put_bytes(&mut out, 1, tag.as_bytes());
        put_bytes(&mut out, 8, &tensor);
        if !plugin.is_empty() {
            put_bytes(&mut out, 9, &metadata);
        }
        out
    }

    pub(crate) fn tensor_of_doubles(
        tag: &str,
        plugin: &str,
        shape: &[u64],
        numbers: &[f64],
    ) -> Vec<u8> {
        let mut fields = Vec::new();
        put_number(&mut fields, 1, super::DOUBLE);
        doubles(&mut fields, 6, numbers);
        tensor(tag, plugin, shape, &fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{put_bytes, put_number, put_varint};

    #[test]
    fn scalars_and_their_step_are_read() {
        let bytes = writing::event(
            -5,
            1.5,
            &[writing::scalar("loss", 0.1), writing::scalar("a/b", 2.0)],
        );
        let event = decode(&bytes).expect("an event");
        assert_eq!((event.step, event.wall_time), (-5, 1.5));
        assert_eq!(event.values[0].tag, "loss");
        assert_eq!(event.values[0].content, Content::Scalar(0.1));
        assert_eq!(event.values[1].content, Content::Scalar(2.0));
    }

    #[test]
    fn tensors_hold_their_numbers_in_either_form() {
        let numbers = |fields: &[u8], shape: &[u64]| {
            let bytes = writing::event(1, 0.0, &[writing::tensor("t", "scalars", shape, fields)]);
            let event = decode(&bytes).expect("an event");
            assert_eq!(event.values[0].plugin, "scalars");
            let Content::Tensor(tensor) = &event.values[0].content else {
                panic!("a tensor");
            };
            tensor.numbers()
        };
        let mut floats = Vec::new();
        put_number(&mut floats, 1, FLOAT);
        put_varint(&mut floats, 5 << 3 | 5);
        floats.extend(0.5_f32.to_bits().to_le_bytes());
        assert_eq!(numbers(&floats, &[]), Some(vec![0.5]));
        assert_eq!(numbers(&floats, &[2]), None, "too few");

        let mut content = Vec::new();
        put_number(&mut content, 1, INT32);
        put_bytes(&mut content, 4, &[255, 255, 255, 255, 7, 0, 0, 0]);
        assert_eq!(numbers(&content, &[2]), Some(vec![-1.0, 7.0]));

        let mut packed = Vec::new();
        put_number(&mut packed, 1, INT64);
        let mut list = Vec::new();
        for value in [-3_i64, 300] {
            put_varint(&mut list, value.cast_unsigned());
        }
        put_bytes(&mut packed, 10, &list);
        assert_eq!(numbers(&packed, &[2, 1]), Some(vec![-3.0, 300.0]));

        let mut bytes = Vec::new();
        put_number(&mut bytes, 1, 4);
        put_bytes(&mut bytes, 4, &[7]);
        assert_eq!(numbers(&bytes, &[]), None, "bytes are no numbers here");
        let mut huge = Vec::new();
        put_number(&mut huge, 1, FLOAT);
        assert_eq!(numbers(&huge, &[u64::MAX, 2]), None);
        assert_eq!(numbers(&huge, &[0, 3]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_event_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(event) = decode(&bytes) {
                for value in &event.values {
                    if let Content::Tensor(tensor) = &value.content {
                        tensor.numbers();
                    }
                }
            }
        }

        #[test]
        fn a_damaged_event_is_an_event_or_refused(at in any::<prop::sample::Index>(), change in any::<u8>()) {
            let mut bytes = writing::event(3, 1.0, &[
                writing::histogram("h", 0.0, &[1.0, 2.0], &[1.0, 2.0]),
                writing::tensor_of_doubles("t", "histograms", &[1, 3], &[0.0, 1.0, 2.0]),
                writing::image("i", 2, 2, b"\x89PNG"),
            ]);
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            if let Ok(event) = decode(&bytes) {
                for value in &event.values {
                    if let Content::Tensor(tensor) = &value.content {
                        tensor.numbers();
                    }
                }
            }
        }
    }
}
