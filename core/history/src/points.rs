//! Numbers of one key, and points of one series.

/// One optional number for each row of a chunk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers {
    values: Vec<f64>,
    present: Vec<bool>,
}

impl Numbers {
    pub(crate) fn from_options(values: impl Iterator<Item = Option<f64>>) -> Self {
        let (values, present) = values
            .map(|value| (value.unwrap_or(f64::NAN), value.is_some()))
            .unzip();
        Self { values, present }
    }

    pub(crate) fn absent(rows: usize) -> Self {
        Self {
            values: vec![f64::NAN; rows],
            present: vec![false; rows],
        }
    }

    pub(crate) fn set(&mut self, row: usize, value: Option<f64>) {
        self.values[row] = value.unwrap_or(f64::NAN);
        self.present[row] = value.is_some();
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The number in `row`, if there is one.
    pub fn get(&self, row: usize) -> Option<f64> {
        self.present.get(row)?.then(|| self.values[row])
    }

    /// One item for each row.
    pub fn iter(&self) -> impl Iterator<Item = Option<f64>> + '_ {
        self.values
            .iter()
            .zip(&self.present)
            .map(|(value, present)| present.then_some(*value))
    }
}

/// Points of one series in row order; x is finite, y may be NaN or infinite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    x: Vec<f64>,
    y: Vec<f64>,
    /// Smallest and largest x.
    span: Option<(f64, f64)>,
}

impl Points {
    /// The rows that have a number in both columns.
    pub fn zip(x: &Numbers, y: &Numbers) -> Self {
        x.iter()
            .zip(y.iter())
            .filter_map(|(x, y)| Some((x?, y?)))
            .collect()
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.x.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.x.is_empty()
    }

    /// The points in row order.
    pub fn iter(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.x.iter().copied().zip(self.y.iter().copied())
    }

    /// Smallest and largest x; none without points.
    pub fn span(&self) -> Option<(f64, f64)> {
        self.span
    }

    /// The x values in row order.
    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// The y values in row order.
    pub fn y(&self) -> &[f64] {
        &self.y
    }
}

/// Points from pairs; those without a finite x are left out.
impl FromIterator<(f64, f64)> for Points {
    fn from_iter<I: IntoIterator<Item = (f64, f64)>>(pairs: I) -> Self {
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().filter(|(x, _)| x.is_finite()).unzip();
        let span = x.iter().fold(None, |span: Option<(f64, f64)>, &x| {
            Some(span.map_or((x, x), |(low, high)| (low.min(x), high.max(x))))
        });
        Self { x, y, span }
    }
}

/// The rate of change of a counter per unit of x, given its points piece by piece in row order: the difference to the
/// point before over the difference in x, at the later x.
///
/// Where the counter or x went back (the process that counts was started again), and for values that are not finite, there
/// is no rate: what happened in between is unknown.
pub fn rates<'a>(pieces: impl IntoIterator<Item = &'a Points>) -> Points {
    let mut before: Option<(f64, f64)> = None;
    let points = pieces.into_iter().flat_map(Points::iter);
    points
        .filter(|(_, y)| y.is_finite())
        .filter_map(|(x, y)| {
            let (x_before, y_before) = before.replace((x, y))?;
            (x > x_before && y >= y_before).then(|| (x, (y - y_before) / (x - x_before)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(pairs: &[(f64, f64)]) -> Points {
        pairs.iter().copied().collect()
    }

    #[test]
    fn rates_go_on_across_pieces_and_begin_anew_where_the_counter_does() {
        let pieces = [
            points(&[(0.0, 0.0), (2.0, 10.0)]),
            points(&[(3.0, 40.0), (4.0, 5.0), (6.0, 9.0)]),
        ];
        let expected = points(&[(2.0, 5.0), (3.0, 30.0), (6.0, 2.0)]);
        assert_eq!(rates(&pieces), expected);
    }

    #[test]
    fn points_hold_no_more_than_themselves_and_know_their_span() {
        let many: Points = (0..1_000).map(|at| (f64::from(at % 600), 0.0)).collect();
        assert!(many.x.capacity() < 1_100 && many.y.capacity() < 1_100);
        assert_eq!(many.span(), Some((0.0, 599.0)));
        assert_eq!(points(&[(f64::NAN, 1.0)]).span(), None);
    }

    #[test]
    fn rates_skip_what_is_no_number_and_time_that_stands_still() {
        let counter = points(&[
            (0.0, 1.0),
            (1.0, f64::NAN),
            (2.0, 5.0),
            (2.0, 6.0),
            (1.0, 7.0),
        ]);
        assert_eq!(rates([&counter]), points(&[(2.0, 2.0)]));
        assert_eq!(rates([&points(&[(0.0, 3.0)])]), Points::default());
    }
}
