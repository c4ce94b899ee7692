//! Which keys there are, with their defaults: the one table that reading, checking, showing and the documents go by.

mod table;

pub(super) use table::{
    AUTH, HISTORY, INVENTORY, LIMITS, OIDC, POOL, PROVIDER, SERVER, TLS, TOP, TRACES, WEBHOOK,
};

/// Keys that stand together.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What it is for, in Markdown.
    pub(super) about: &'static str,
    pub(super) default: Option<&'static str>,
    /// A default that is decided elsewhere, for people.
    pub(super) shown: Option<&'static str>,
    /// Its section is refused without it.
    pub(super) required: bool,
    /// A reload takes up another value.
    pub(super) reloaded: bool,
    /// The heading of the keys that begin with it.
    pub(super) heading: Option<&'static str>,
}

/// What may stand behind a key.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    Path,
    Boolean,
    /// A whole number from the one to the other.
    Number(u32, u32),
    /// A part of the whole, from 0 to 1.
    Part,
    /// A time with its unit.
    Duration,
    /// One of these.
    Words(&'static [&'static str]),
    /// Bytes a second, or a timetable of them.
    Rate,
    /// A list of texts, or one.
    Texts,
    /// Texts under keys of the writer's own.
    Free,
    /// Keys.
    Section(&'static Section),
    /// A list of entries with these keys.
    Entries(&'static Section),
}

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, about, default: None, shown: None, required: false, reloaded: false, heading: None }
}

impl Key {
    const fn or(mut self, default: &'static str) -> Key {
        self.default = Some(default);
        self
    }

    const fn shown(mut self, default: &'static str) -> Key {
        self.shown = Some(default);
        self
    }

    const fn required(mut self) -> Key {
        self.required = true;
        self
    }

    const fn reloaded(mut self) -> Key {
        self.reloaded = true;
        self
    }

    const fn begins(mut self, heading: &'static str) -> Key {
        self.heading = Some(heading);
        self
    }

    /// The keys below, if it has any.
    pub(super) fn below(&self) -> Option<&'static Section> {
        match self.kind {
            Kind::Section(section) | Kind::Entries(section) => Some(section),
            _ => None,
        }
    }
}

/// What a written key is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// A key, as it is spelt here.
    Known(&'static str),
    /// A key in a spelling of an earlier version.
    Old(&'static str),
    /// None, with a message that names the nearest.
    Unknown(String),
}

impl Section {
    /// Finds the key that `written` means.
    pub(super) fn resolve(&self, written: &str) -> Resolved {
        if let Some(key) = self.keys.iter().find(|key| key.name == written) {
            return Resolved::Known(key.name);
        }
        let squashed = squash(written);
        if let Some(key) = self.keys.iter().find(|key| squash(key.name) == squashed) {
            return Resolved::Old(key.name);
        }
        Resolved::Unknown(match nearest(written, self.keys.iter().map(|key| key.name)) {
            Some(name) => format!("unknown key; did you mean {name}?"),
            None => {
                let names = self.keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ");
                format!("unknown key; known here: {names}")
            }
        })
    }

    /// The keys below `name`, if it has any.
    pub(super) fn below(&self, name: &str) -> Option<&'static Section> {
        self.find(name)?.below()
    }

    /// True if `name` has one value rather than keys below it.
    pub(super) fn is_scalar(&self, name: &str) -> bool {
        self.find(name)
            .is_some_and(|key| key.below().is_none() && !matches!(key.kind, Kind::Free | Kind::Texts))
    }

    /// True if the keys below `name` are the writer's own.
    pub(super) fn is_free(&self, name: &str) -> bool {
        self.find(name).is_some_and(|key| matches!(key.kind, Kind::Free))
    }

    /// The key called `name`.
    pub(super) fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The least and the greatest number that `name` may be, if it is one.
    pub(super) fn range(&self, name: &str) -> Option<(u32, u32)> {
        match self.find(name)?.kind {
            Kind::Number(low, high) => Some((low, high)),
            _ => None,
        }
    }

    /// Every key.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }

    /// The keys that have a default, with it.
    pub(super) fn defaults(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.keys.iter().filter_map(|key| Some((key.name, key.default?)))
    }
}

/// `prefix.name`, or just `name` at the top.
pub(super) fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// The spelling without what earlier versions left out: `vcenterurl` and `vcenterUrl` are `vcenter_url`.
fn squash(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
}

/// The one of `known` that `written` is most likely a slip of, if any is near enough.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&squash(written), &squash(name)), name))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
