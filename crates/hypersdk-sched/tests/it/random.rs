//! Random cron expressions, as a structure that says what they mean beside the text that says it to cron.

use fastrand::Rng;

/// Part of a field: every `step`th value of `from..=to`.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) step: u32,
}

/// A field: nothing said, or a list.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// `None` for `*`.
    pub(crate) items: Option<Vec<Item>>,
    pub(crate) text: String,
    /// Which values it allows.
    allowed: [bool; 60],
}

/// An expression of five fields.
#[derive(Debug, Clone)]
pub(crate) struct Expression {
    pub(crate) minute: Field,
    pub(crate) hour: Field,
    pub(crate) day: Field,
    pub(crate) month: Field,
    pub(crate) weekday: Field,
}

const MONTHS: [&str; 12] =
    ["Jan", "feb", "MAR", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 8] = ["sun", "Mon", "tue", "WED", "thu", "fri", "sat", "sun"];

impl Expression {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        loop {
            let expression = Expression {
                minute: Field::random(rng, 0, 59, 30, &[]),
                hour: Field::random(rng, 0, 23, 40, &[]),
                day: Field::random(rng, 1, 31, 55, &[]),
                month: Field::random(rng, 1, 12, 75, &MONTHS),
                weekday: Field::random(rng, 0, 7, 55, &WEEKDAYS),
            };
            if expression.can_come() {
                return expression;
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        let fields = [&self.minute, &self.hour, &self.day, &self.month, &self.weekday];
        fields.map(|field| field.text.as_str()).join(" ")
    }

    /// Day 31 in months of 30 days alone is refused, which is tested elsewhere.
    fn can_come(&self) -> bool {
        let early = (1..=29).any(|day| self.day.allows(day));
        early || self.weekday.items.is_some() || [1, 3, 5, 7, 8, 10, 12].iter().any(|m| self.month.allows(*m))
    }
}

impl Field {
    fn random(rng: &mut Rng, low: u32, high: u32, any_percent: u32, names: &[&str]) -> Self {
        if rng.u32(..100) < any_percent {
            let text = if rng.u32(..8) == 0 { "*/1" } else { "*" };
            return Field::new(None, text.to_owned());
        }
        let write = |value: u32, rng: &mut Rng| match names.get((value - low) as usize) {
            Some(name) if rng.bool() => (*name).to_owned(),
            _ => value.to_string(),
        };
        // Sunday's second number counts only where it is written.
        let last = if high == 7 { 6 } else { high };
        let mut items = Vec::new();
        let mut texts = Vec::new();
        for _ in 0..[1, 1, 1, 2, 3, 5][rng.usize(..6)] {
            let (item, text) = match rng.u32(..10) {
                0..=4 => {
                    let value = rng.u32(low..=high);
                    (Item { from: value, to: value, step: 1 }, write(value, rng))
                }
                5..=6 => {
                    let (from, to) = ordered(rng, low, high);
                    let text = match (from, to) {
                        // By name that would be Sunday alone.
                        (0 | 7, 7) => format!("{from}-7"),
                        _ => format!("{}-{}", write(from, rng), write(to, rng)),
                    };
                    (Item { from, to, step: 1 }, text)
                }
                7 => {
                    let (from, to) = ordered(rng, low, high);
                    let step = rng.u32(1..=7);
                    let text = match (from, to) {
                        (0 | 7, 7) => format!("{from}-7/{step}"),
                        _ => format!("{}-{}/{step}", write(from, rng), write(to, rng)),
                    };
                    (Item { from, to, step }, text)
                }
                8 => {
                    let from = rng.u32(low..=last);
                    let step = rng.u32(1..=7);
                    (Item { from, to: last, step }, format!("{from}/{step}"))
                }
                _ => {
                    let step = rng.u32(2..=7);
                    (Item { from: low, to: last, step }, format!("*/{step}"))
                }
            };
            items.push(item);
            texts.push(text);
        }
        Field::new(Some(items), texts.join(","))
    }

    fn new(items: Option<Vec<Item>>, text: String) -> Self {
        let mut allowed = [items.is_none(); 60];
        for item in items.iter().flatten() {
            for value in (item.from..=item.to).filter(|value| (value - item.from).is_multiple_of(item.step)) {
                allowed[value as usize] = true;
            }
        }
        Field { items, text, allowed }
    }

    /// Whether the field allows the value, by what it means and not by its text.
    pub(crate) fn allows(&self, value: u32) -> bool {
        self.allowed[value as usize]
    }
}

/// Two values, the lesser first. Names of Sunday at the end of a range are 7.
fn ordered(rng: &mut Rng, low: u32, high: u32) -> (u32, u32) {
    let (a, b) = (rng.u32(low..=high), rng.u32(low..=high));
    (a.min(b), a.max(b))
}
