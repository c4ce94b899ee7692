//! Which events an endpoint wants.

use std::fmt;

use hypersdk_core::EventKind;

/// The sample of a job's progress: no entry of the log, and sent only to whoever names it.
pub const PROGRESS: &str = "job.progress";

/// What a test delivery says it is.
pub const TEST: &str = "webhook.test";

/// A choice of events: `*`, a family such as `job.*`, or exact names.
///
/// [`PROGRESS`] is chosen by its exact name alone, since it comes every few seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    All,
    /// The part before `*`, with its dot.
    Family(String),
    Exact(String),
}

impl EventFilter {
    /// Every event of the log.
    pub fn all() -> Self {
        EventFilter(vec![Pattern::All])
    }

    /// Reads patterns.
    ///
    /// # Errors
    /// For each wrong one its index and what is wrong with it.
    pub fn parse(patterns: &[impl AsRef<str>]) -> Result<Self, Vec<(usize, String)>> {
        let mut read = Vec::new();
        let mut wrong = Vec::new();
        for (index, text) in patterns.iter().enumerate() {
            match Pattern::parse(text.as_ref()) {
                Ok(pattern) => read.push(pattern),
                Err(message) => wrong.push((index, message)),
            }
        }
        if wrong.is_empty() { Ok(EventFilter(read)) } else { Err(wrong) }
    }

    /// True if an event of this name is wanted.
    pub fn matches(&self, event: &str) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::Exact(name) => name == event,
            _ if event == PROGRESS => false,
            Pattern::All => true,
            Pattern::Family(prefix) => event.starts_with(prefix.as_str()),
        })
    }

    /// The patterns as they are written.
    pub fn patterns(&self) -> Vec<String> {
        self.0.iter().map(Pattern::to_string).collect()
    }
}

impl Default for EventFilter {
    fn default() -> Self {
        EventFilter::all()
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Pattern::All);
        }
        if let Some(prefix) = text.strip_suffix('*')
            && prefix.ends_with('.')
            && known().any(|name| name.starts_with(prefix))
        {
            return Ok(Pattern::Family(prefix.to_owned()));
        }
        if known().any(|name| name == text) {
            return Ok(Pattern::Exact(text.to_owned()));
        }
        let all = ["*", "job.*", "schedule.*", "package.*"].into_iter().chain(known());
        let nearest = all
            .clone()
            .map(|name| (strsim::jaro_winkler(&text.to_lowercase(), name), name))
            .filter(|(likeness, _)| *likeness >= 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        Err(match nearest {
            Some((_, name)) => format!("{text:?} is no event; did you mean {name}?"),
            None => format!("{text:?} is no event; known: {}", all.collect::<Vec<_>>().join(", ")),
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::All => f.write_str("*"),
            Pattern::Family(prefix) => write!(f, "{prefix}*"),
            Pattern::Exact(name) => f.write_str(name),
        }
    }
}

/// Every event there is.
fn known() -> impl Iterator<Item = &'static str> + Clone {
    EventKind::ALL.into_iter().map(EventKind::as_str).chain([PROGRESS])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(patterns: &[&str]) -> EventFilter {
        EventFilter::parse(patterns).unwrap()
    }

    #[test]
    fn everything_a_family_or_one_event_can_be_chosen() {
        assert!(filter(&["*"]).matches("job.failed"));
        assert!(filter(&["job.*"]).matches("job.created"));
        assert!(!filter(&["job.*"]).matches("schedule.fired"));
        assert!(filter(&["job.failed", "job.cancelled"]).matches("job.cancelled"));
        assert!(!filter(&["job.failed"]).matches("job.completed"));
        assert_eq!(filter(&["job.*", "job.failed"]).patterns(), ["job.*", "job.failed"]);
    }

    #[test]
    fn progress_comes_only_to_whoever_names_it() {
        assert!(!filter(&["*"]).matches(PROGRESS));
        assert!(!filter(&["job.*"]).matches(PROGRESS));
        assert!(filter(&["*", "job.progress"]).matches(PROGRESS));
    }

    #[test]
    fn an_unknown_event_is_refused_with_the_nearest() {
        let wrong = EventFilter::parse(&["job.created", "job.complete", "jobs.*", "x"]).unwrap_err();
        assert_eq!(wrong.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(wrong[0].1.contains("did you mean job.completed?"), "{}", wrong[0].1);
        assert!(wrong[1].1.contains("did you mean job.*?"), "{}", wrong[1].1);
        assert!(wrong[2].1.contains("known: *, job.*"), "{}", wrong[2].1);
    }
}
