//! What can be wrong with a cron expression, always with what would be right.

/// Why a text is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CronError {
    /// Nothing there.
    #[error("the expression is empty; write five fields such as \"0 2 * * *\" (every day at 02:00)")]
    Empty,
    /// Beyond all measure.
    #[error("the expression is longer than {longest} bytes; make several schedules of it")]
    TooLong {
        /// The most bytes.
        longest: usize,
    },
    /// Neither five nor six fields.
    #[error(
        "there are {found} fields; write five (minute, hour, day of the month, month, day of the week), or six \
         with the second first"
    )]
    FieldCount {
        /// How many there are.
        found: usize,
    },
    /// A field that cannot be read.
    #[error("field {field}: {problem}; {remedy}")]
    Field {
        /// Which one.
        field: &'static str,
        /// What is wrong.
        problem: String,
        /// What would be right.
        remedy: String,
    },
    /// A word with `@` that has no meaning here.
    #[error(
        "{text} is not known; use @yearly, @monthly, @weekly, @daily, @hourly or five fields (@every 15m is \
         \"*/15 * * * *\")"
    )]
    UnknownShorthand {
        /// The word.
        text: String,
    },
    /// A zone in front of the fields.
    #[error("a time zone does not belong into the expression; give it as the schedule's timezone")]
    ZoneInside,
    /// A date that no year has.
    #[error(
        "no month of \"{months}\" has a day \"{days}\", so it would never come; choose a day that there is"
    )]
    Never {
        /// The day field.
        days: String,
        /// The month field.
        months: String,
    },
    /// A fault of ours.
    #[error("the expression was translated to \"{translated}\", which is refused: {message}")]
    Untranslatable {
        /// What the `cron` crate was given.
        translated: String,
        /// What it said.
        message: String,
    },
}
