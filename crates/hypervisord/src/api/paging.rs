//! What listings take from a query, every wrong value named.

use std::fmt::Display;
use std::str::FromStr;

use super::problem::FieldError;

/// The length of a page: what was `asked` for, 1 to `most`, or `unasked`.
pub(super) fn limit(asked: Option<i64>, unasked: usize, most: i64, errors: &mut Vec<FieldError>) -> usize {
    let Some(asked) = asked else { return unasked };
    let valid = usize::try_from(asked).ok().filter(|_| (1..=most).contains(&asked));
    valid.unwrap_or_else(|| {
        errors.push(FieldError::new("limit", format!("expected 1 to {most}")));
        unasked
    })
}

/// The words of a list with commas.
pub(super) fn words<T: FromStr<Err: Display>>(
    text: Option<&str>,
    field: &'static str,
    errors: &mut Vec<FieldError>,
) -> Vec<T> {
    let words = text.unwrap_or_default().split(',').filter(|word| !word.is_empty());
    let mut read = Vec::new();
    for word in words {
        match word.parse::<T>() {
            Ok(value) => read.push(value),
            Err(error) => errors.push(FieldError::new(field, error.to_string())),
        }
    }
    read
}
