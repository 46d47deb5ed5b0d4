//! Which series of an endpoint are recorded.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};

use crate::Filter;

/// A compiled expression takes no more room than this.
const EXPRESSION_BYTES: usize = 1 << 20;

/// Compiled filters. Without any, everything passes.
#[derive(Debug, Default)]
pub(super) struct Filters(Vec<Compiled>);

#[derive(Debug)]
struct Compiled {
    name: Regex,
    labels: Vec<(String, Regex)>,
}

impl Filters {
    /// Compiles filters; an error names the expression that is none.
    pub(super) fn new(filters: &[Filter]) -> Result<Self, String> {
        let compiled = filters.iter().map(|filter| {
            let label = |(name, value): (&String, &String)| Ok((name.clone(), compile(value)?));
            Ok(Compiled {
                name: compile(&filter.name)?,
                labels: filter
                    .labels
                    .iter()
                    .map(label)
                    .collect::<Result<_, String>>()?,
            })
        });
        Ok(Self(compiled.collect::<Result<_, String>>()?))
    }

    /// Whether a series of this name may pass; `name` is `<endpoint>.<metric>`.
    pub(super) fn may_pass(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|filter| filter.name.is_match(name))
    }

    /// Whether a series passes.
    pub(super) fn passes(&self, name: &str, labels: &BTreeMap<&str, String>) -> bool {
        let fits = |filter: &Compiled| {
            let has = |(label, expression): &(String, Regex)| {
                let value = labels.get(label.as_str());
                value.is_some_and(|value| expression.is_match(value))
            };
            filter.name.is_match(name) && filter.labels.iter().all(has)
        };
        self.0.is_empty() || self.0.iter().any(fits)
    }
}

fn compile(expression: &str) -> Result<Regex, String> {
    RegexBuilder::new(expression)
        .size_limit(EXPRESSION_BYTES)
        .build()
        .map_err(|_error| format!("`{expression}` is no regular expression"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(name: &str, labels: &[(&str, &str)]) -> Filter {
        let owned = |&(label, value): &(&str, &str)| (label.to_owned(), value.to_owned());
        Filter {
            name: name.to_owned(),
            labels: labels.iter().map(owned).collect(),
        }
    }

    fn passes(filters: &[Filter], name: &str, labels: &[(&'static str, &str)]) -> bool {
        let filters = Filters::new(filters).expect("expressions");
        let labels: BTreeMap<_, _> = labels
            .iter()
            .map(|&(label, value)| (label, value.to_owned()))
            .collect();
        let is_passed = filters.passes(name, &labels);
        assert!(!is_passed || filters.may_pass(name));
        is_passed
    }

    #[test]
    fn without_filters_everything_passes() {
        assert!(passes(&[], "node.cpu", &[]));
    }

    #[test]
    fn names_are_searched() {
        let filters = [filter("cpu", &[]), filter("^gpu\\.temp$", &[])];
        assert!(passes(&filters, "node.cpu_seconds", &[]));
        assert!(passes(&filters, "gpu.temp", &[]));
        assert!(!passes(&filters, "gpu.temperature", &[]));
    }

    #[test]
    fn all_labels_of_a_filter_must_fit() {
        let filters = [filter(".*DCGM.*", &[("node", "n[12]"), ("pod", "^train")])];
        let labels = [("node", "n1"), ("pod", "train-0"), ("gpu", "3")];
        assert!(passes(&filters, "x.DCGM_FI_TEMP", &labels));
        assert!(!passes(&filters, "x.DCGM_FI_TEMP", &labels[..1]));
        assert!(!passes(&filters, "x.other", &labels));
    }

    #[test]
    fn what_is_no_expression_is_named() {
        let error = Filters::new(&[filter("good", &[("node", "(")])]).expect_err("no expression");
        assert_eq!(error, "`(` is no regular expression");
        let large = "(((a{100}){100}){100}){100}";
        assert!(Filters::new(&[filter(large, &[])]).is_err());
    }
}
