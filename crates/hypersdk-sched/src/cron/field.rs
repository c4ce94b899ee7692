//! One field of an expression: which values it allows.

use super::CronError;

/// The fields in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Second,
    Minute,
    Hour,
    Day,
    Month,
    Weekday,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Field {
    fn name(self) -> &'static str {
        match self {
            Field::Second => "second",
            Field::Minute => "minute",
            Field::Hour => "hour",
            Field::Day => "day of the month",
            Field::Month => "month",
            Field::Weekday => "day of the week",
        }
    }

    /// The least and the greatest number that may be written.
    fn range(self) -> (u32, u32) {
        match self {
            Field::Second | Field::Minute => (0, 59),
            Field::Hour => (0, 23),
            Field::Day => (1, 31),
            Field::Month => (1, 12),
            Field::Weekday => (0, 7),
        }
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Field::Month => &MONTHS,
            Field::Weekday => &WEEKDAYS,
            _ => &[],
        }
    }

    /// What may be written, for messages.
    fn choice(self) -> String {
        let (low, high) = self.range();
        match self.names() {
            [first, .., last] => format!("use {low} to {high} or {first} to {last}"),
            _ => format!("use {low} to {high}"),
        }
    }

    fn wrong(self, problem: impl Into<String>, remedy: impl Into<String>) -> CronError {
        CronError::Field { field: self.name(), problem: problem.into(), remedy: remedy.into() }
    }

    /// Reads the field's text.
    pub(super) fn read(self, text: &str) -> Result<Values, CronError> {
        let mut values = Values { bits: 0, any: false, field: self };
        for item in text.split(',') {
            if item.is_empty() {
                return Err(self.wrong(
                    format!("there is an empty place in the list {text:?}"),
                    "write the values with one comma between them",
                ));
            }
            self.read_item(item, &mut values)?;
        }
        Ok(values)
    }

    fn read_item(self, item: &str, values: &mut Values) -> Result<(), CronError> {
        let (base, step) = match item.split_once('/') {
            Some((base, step)) => (base, Some(self.step(item, step)?)),
            None => (item, None),
        };
        let (low, high) = self.range();
        // Sunday is one day though it has two numbers.
        let last = if self == Field::Weekday { 6 } else { high };
        let (from, to) = if base == "*" || base == "?" {
            values.any |= step.is_none_or(|step| step == 1);
            (low, last)
        } else if let Some((from, to)) = base.split_once('-') {
            let (from, mut to_value) = (self.number(from, item)?, self.number(to, item)?);
            if self == Field::Weekday && to_value == 0 && from > 0 {
                to_value = 7;
            }
            if from > to_value {
                return Err(self.wrong(
                    format!("the range {base} runs backwards"),
                    format!("write two: {from}-{last},{low}-{to_value}"),
                ));
            }
            (from, to_value)
        } else {
            let value = self.number(base, item)?;
            (value, if step.is_some() { last.max(value) } else { value })
        };
        for value in (from..=to).step_by(step.unwrap_or(1) as usize) {
            values.bits |= 1 << if self == Field::Weekday { value % 7 } else { value };
        }
        Ok(())
    }

    fn step(self, item: &str, text: &str) -> Result<u32, CronError> {
        let (low, high) = self.range();
        match text.parse::<u32>() {
            Ok(step) if step >= 1 && step <= high - low + 1 => Ok(step),
            _ => Err(self.wrong(
                format!("the step of {item:?} is no number from 1 to {}", high - low + 1),
                "write steps as */15 or 10-50/20",
            )),
        }
    }

    fn number(self, text: &str, item: &str) -> Result<u32, CronError> {
        let (low, high) = self.range();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match text.parse::<u32>() {
                Ok(value) if value < low => Err(self.wrong(format!("{text} is too small"), self.choice())),
                Ok(value) if value <= high => Ok(value),
                _ => Err(self.wrong(format!("{text} is too large"), self.choice())),
            };
        }
        let lower = text.to_ascii_lowercase();
        if let Some(place) = self.names().iter().position(|name| *name == lower) {
            let place = u32::try_from(place).expect("there are at most twelve names");
            return Ok(if self == Field::Month { place + 1 } else { place });
        }
        let special = lower.trim_start_matches(|c: char| c.is_ascii_digit());
        let problem = match special {
            "l" | "w" | "lw" => format!("{item:?} is another scheduler's way to say last or working day"),
            _ if text.contains('#') => format!("{item:?} is another scheduler's way to count weekdays"),
            _ => format!("{item:?} cannot be read"),
        };
        Err(self.wrong(problem, format!("{}, ranges a-b, steps */n and lists", self.choice())))
    }
}

/// The values that a field allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Values {
    bits: u64,
    any: bool,
    field: Field,
}

impl Values {
    /// Whether the field was written as `*`: it says nothing.
    pub(super) fn is_any(self) -> bool {
        self.any
    }

    /// The values, from the least.
    pub(super) fn iter(self) -> impl Iterator<Item = u32> {
        (0..60).filter(move |value| self.bits & (1 << value) != 0)
    }

    /// How many there are.
    pub(super) fn len(self) -> u32 {
        self.bits.count_ones()
    }

    /// True if it allows every value there is.
    pub(super) fn is_all(self) -> bool {
        let (low, high) = self.field.range();
        let all = if self.field == Field::Weekday { 7 } else { high - low + 1 };
        self.len() == all
    }

    /// The distance between the values, if they run through the whole field from its beginning at equal
    /// distances.
    pub(super) fn step(self) -> Option<u32> {
        let (low, high) = self.field.range();
        let mut values = self.iter();
        let (first, second) = (values.next()?, values.next()?);
        let step = second - first;
        let expected = (high - low) / step + 1;
        let even = self.iter().zip((low..).step_by(step as usize)).all(|(found, wanted)| found == wanted);
        // Days start anew each month in any case; minutes that do not add up to an hour would mislead.
        let whole = self.field == Field::Day || (high - low + 1).is_multiple_of(step);
        (first == low && even && self.len() == expected && whole && step > 1).then_some(step)
    }

    /// The values as a list, or `*`.
    pub(super) fn list(self) -> String {
        self.list_from(0)
    }

    /// As [`list`](Self::list), with each value raised by `offset`.
    pub(super) fn list_from(self, offset: u32) -> String {
        if self.is_all() {
            return "*".to_owned();
        }
        self.iter().map(|value| (value + offset).to_string()).collect::<Vec<_>>().join(",")
    }
}
